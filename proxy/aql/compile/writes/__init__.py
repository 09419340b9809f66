"""AQL that writes -> one SQL statement over the document tables: exact or not at all.

    [statements that choose rows] UPDATE | REPLACE | REMOVE [statements over OLD and NEW, RETURN]

The statements before the modification are compiled as those of a query that reads. Each row that they choose names a
document of the collection, with the texts of its new attributes; one UPDATE of PostgreSQL writes them all; what follows
is a SELECT from the rows that were chosen and the rows that were written.

    cached          compile_write: the entry point; outcomes are kept with the query's tree
    compiled_write  CompiledWrite: the output
    batched_write   BatchedWrite: what is foreseen of a query that is not one statement
    inserting       INSERT and UPSERT: compile_inserting
    given_rows      their rows, which are computed before the statement
    inserting_text  the text of their statement
    whole           the whole query, of UPDATE, REPLACE and REMOVE
    target          which document a row names
    change          the new version of it: text and jsonb
    printed         expressions -> SQL of the text that ArangoDB prints for their values
    dropped_rows    whether the documents that are not written are those that FILTER drops
    text            the statement's text: what is chosen, written, noted, returned

The stored truth is the text of a document, in which numbers have ArangoDB's form and attributes their order. So new
values are computed as text, from the text of documents where they are copied; the SQL functions are in migration 0030.
What they refuse (SQLSTATE 22…), and what is not compiled, is evaluated: in batches if it reads only the documents
that it changes (INSERT, UPSERT, changes by computed keys).

Terms: *target*: the document that a row names. *Chosen*: the rows, with the new versions. *Flat*: never an object, so
that an UPDATE does not merge it into an object that is there.
"""

from proxy.aql.compile.writes.batched_write import BatchedWrite, batched_write
from proxy.aql.compile.writes.cached import compile_write
from proxy.aql.compile.writes.compiled_write import CompiledWrite
from proxy.aql.compile.writes.given_rows import KEY, GivenChange, GivenRows, Path

__all__ = ["KEY", "BatchedWrite", "CompiledWrite", "GivenChange", "GivenRows", "Path", "batched_write", "compile_write"]
