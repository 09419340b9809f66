"""The output of the compiler of writes: frozen values."""

from __future__ import annotations

from dataclasses import dataclass

from proxy.aql.compile.result_builder import Finish
from proxy.aql.compile.writes.given_rows import GivenRows


@dataclass(frozen=True, slots=True)
class CompiledWrite:
    """A whole query that writes to one collection as one statement, in a transaction of one snapshot.

    parameters: the values of $1, $2, …; after them comes the name `database/collection` of the collection. relation,
    edge: its table, for which the statement was made. pushed: what the statement does, finished: what is computed from
    its rows afterwards, in words.

    The columns of a row are the number of documents that were written; that of all documents, if FILTER dropped the
    others, else NULL; `found`; and those of `finish`, as of a query that reads. There is always a row; found: NULL if
    the result is empty. finish: None if the query returns nothing.

    bare: a shorter statement with the same parameters, if nothing is returned and ArangoDB does not follow the
    collection; it has no rows, and the number of documents is that of its command.

    given: of INSERT and UPSERT, the rows whose columns are parameters, so that these are known only when the rows are.
    Such a statement has the number of inserted documents as its second column.

    A statement that fails with an SQLSTATE of class 22 met data for which it is not exact: the query is then evaluated.
    """

    sql: str
    bare: str | None
    parameters: tuple[object, ...]
    collection: str
    relation: str
    edge: bool
    finish: Finish | None
    pushed: tuple[str, ...]
    finished: tuple[str, ...]
    given: GivenRows | None = None
