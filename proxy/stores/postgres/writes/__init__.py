"""Writes that PostgreSQL itself decides, by the same rules as the development server (proxy/semantics).

Load, decide, write: a transaction locks the rows of the keys that a request names, the rules are applied to what was
loaded, and what they changed is written in one statement. The decision has no side effects: if it needs a key that was
not loaded, or another transaction inserts a key first, it is repeated. Rules: sql/queries/writes.sql.

    writer             DocumentWriter: one Operation -> Outcome; what is repeated, and what is an error
    write_groups       concurrent writes of single documents in one transaction
    transaction        one attempt: fence, load, decide, write
    loaded_collection  the loaded documents as a collection that the rules write to: pure
    row_changes        the rows that a decision changes, and the statements that write them
    index_claims       the values that its documents have in unique indexes: pure
    partwise_writer    writes with large bodies, part by part in one transaction
    part_sequence      the parts of one: parsed and decided while PostgreSQL writes those before them
    locked_documents   what stays locked: refused, and nothing else of its array
    blocked_values     values of unique indexes that other transactions have: found, to refuse their documents
    refused_documents  what PostgreSQL cannot hold: refused, and nothing else of its array
    interruptions      what ends an attempt before anything is written
    properties         what writes to a collection must follow: schema, waitForSync, key options
    key_assignment     the keys of a request's documents, with the generator's state in PostgreSQL

Terms: *fence*: the row of a collection that states who takes its writes, locked FOR SHARE until the commit. *Claim*: a
value of a unique index that a document of the request wants. *Interruption*: what ends an attempt before anything is
written.
"""

from proxy.stores.postgres.writes.writer import DocumentWriter

__all__ = ["DocumentWriter"]
