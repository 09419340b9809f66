"""The rehearsal of writes: what the rules of PostgreSQL alone make of a write that ArangoDB has just carried out.

From stage `mirror` on, a share of the writes is decided a second time, off the path of the request, by the rules that
decide when PostgreSQL takes the writes (`semantics`, `stores.postgres.writes`): from the documents that ArangoDB's
write met, the request, and the collection's properties. Answer and new documents are compared with what ArangoDB
answered. A difference is a mismatch of the class `write` in the ledger. Whatever the write met must be known for sure:
otherwise there is no verdict, and the reason is counted.

    observed           a write and ArangoDB's answer to it, as values; what the answer says of each document: pure
    write_shapes       a write without its literals: pure
    met_documents      the documents that a write met: from the answer, or looked up; when that proves anything: pure
    decisions          what the rules make of a write of documents: pure
    chosen_query       a query that writes, and what its answer shows of each document
    query_decisions    what the evaluator and the rules make of a query over the documents that it met: pure
    query_judge        one observed query -> its verdict
    comparison         the answer of the rules beside ArangoDB's: pure
    known_versions     versions that are known to have been committed when a write was sent
    unique_holders     documents that have a value of a unique index, as far as writes have shown them
    collection_rules   properties of collections, read from ArangoDB and kept
    lookups            documents that an answer does not show, read from PostgreSQL or ArangoDB
    judge              one observed write -> its verdict
    verdicts           verdicts as values
    assembly           connects these parts
    rehearser          the share, the queue, the workers: what the path of a request uses
    shape_results      verdicts by shape, written to PostgreSQL in batches
    rehearsed_shapes   the same, read for the command and for gates

Terms: *met*: of a document, stored when ArangoDB carried out the write. *Floor*: the newest revision that was known
before the write was sent. *Known*: of a version, seen in an answer before the write was sent; if it is there after the
answer, the write met it.
"""
