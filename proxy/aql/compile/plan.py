"""The input and the output of the compiler: frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from proxy.aql.compile.result_builder import Finish
from proxy.aql.sql_terms import with_binds


@dataclass(frozen=True, slots=True)
class CompiledTable:
    """The table of a collection.

    relation: schema-qualified, quoted by PostgreSQL itself. edge: it has the columns from_id and to_id. indexed: the
    attributes whose `doc -> 'name'` is the first column of an index; they are not sought by containment as well. small:
    its documents are few enough to be sorted always, and not only if their order decides the result.
    """

    relation: str
    edge: bool = False
    indexed: frozenset[str] = frozenset()
    small: bool = False


@dataclass(frozen=True, slots=True)
class CompiledTables:
    """The tables that a query may read, by collection name without database.

    icu: whether the migration found ICU; without it no query that depends on the order of strings is compiled.
    """

    tables: Mapping[str, CompiledTable]
    icu: bool = True


@dataclass(frozen=True, slots=True)
class ComparedStatement:
    """The statement of a sorted query whose result is compared: it gives the whole runs of equal sort keys that LIMIT
    cuts. It has two more columns, at the end: n, the number of a row from 1 on, and run, the number of the first row of
    its run. The result is rows offset + 1 to offset + count.
    """

    sql: str
    given: tuple[object, ...]  # parameters, some of them computed from `binds`
    offset: int
    count: int | None
    binds: Mapping[str, Any] = field(default_factory=dict)

    @property
    def parameters(self) -> tuple[object, ...]:
        """The parameters of this run, computed on demand: most runs are not compared."""
        return tuple(with_binds(value, self.binds) for value in self.given)


@dataclass(frozen=True, slots=True)
class Listing:
    """A scan in the order of a SORT: the columns of an index that would give its rows in that order.

    columns: SQL over the columns of the table: attributes compared by ==, then the keys of the SORT.
    """

    collection: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Compiled:
    """A whole query as one SELECT.

    parameters: the values of $1, $2, …. collections: names (without database) of the collections that it reads. Its
    first column, `found`, is true; then come the columns of `finish`, which makes them a row of the result.
    order: "sort" or "collect" if that decides the order of the result, else "". most: the maximum number of rows; None
    if its text does not determine it. pushed: what the statement does, finished: what is computed from its rows
    afterwards, in words. listings: the scans whose order an index could give.

    A statement that fails with an SQLSTATE of class 22 met data for which it is not exact: the evaluator then answers.
    """

    sql: str
    parameters: tuple[object, ...]
    collections: frozenset[str]
    finish: Finish
    order: str = ""
    compared: ComparedStatement | None = None
    most: int | None = None
    pushed: tuple[str, ...] = ()
    finished: tuple[str, ...] = ()
    listings: tuple[Listing, ...] = ()


@dataclass(frozen=True, slots=True)
class NotCompiled:
    """The query is left to the evaluator. reason: the first part that cannot be compiled exactly, in words."""

    reason: str
    detail: str = field(default="", compare=False)
