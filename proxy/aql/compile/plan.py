"""What the compiler is given and what it gives back: frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from proxy.aql.compile.result_builder import Finish
from proxy.aql.sql_terms import settled


@dataclass(frozen=True, slots=True)
class Table:
    """Where a collection's documents lie. relation: schema-qualified and quoted by PostgreSQL itself. indexed: the
    attributes whose `doc -> 'name'` is the first column of an index: they are not sought by containment as well. small:
    its documents are few enough to be put into order always, and not only where their order decides.
    """

    relation: str
    edge: bool = False
    indexed: frozenset[str] = frozenset()
    small: bool = False


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables that a query may read, by collection name without database.

    icu: whether the migration found ICU; without it nothing that depends on the order of strings is compiled.
    """

    tables: Mapping[str, Table]
    icu: bool = True


@dataclass(frozen=True, slots=True)
class Compared:
    """The statement of a sorted query whose result is to be compared: it gives the whole of the runs of equal sort keys
    that LIMIT cuts. Two columns more, at the end: n, the number of a row from 1 on, and run, the number of its run's
    first. The result is rows offset + 1 to offset + count.
    """

    sql: str
    given: tuple[object, ...]  # parameters, some of them worked out of `binds`
    offset: int
    count: int | None
    binds: Mapping[str, Any] = field(default_factory=dict)

    @property
    def parameters(self) -> tuple[object, ...]:
        """Of this run; most runs are not compared, and need them not."""
        return tuple(settled(value, self.binds) for value in self.given)


@dataclass(frozen=True, slots=True)
class Listing:
    """A scan in the order of a SORT: what an index must have so that its rows come in order, the first of them first.

    columns: SQL over the table's own columns: what is compared by ==, then the keys of the SORT.
    """

    collection: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Compiled:
    """A whole query as one SELECT.

    sql: its text; parameters: the values of $1, $2, …; collections: names (without database) of what it reads.
    Its first column, `found`, is true; what follows are the columns of `finish`, which makes them a row of the result.
    dynamic: which collections it reads is known only as it runs (DOCUMENT of a computed id).
    order: "sort" or "collect" where that decides the order of the result, else "". compared: see there.
    most: how many rows it gives at most; None where its text does not tell.
    exact: always true of what the compiler gives: the rows equal the evaluator's. A statement that fails at run time
    with an SQLSTATE of class 22 says that its data is outside what SQL does exactly: the evaluator then answers.
    pushed: what the statement does, in words; finished: what is worked out of its rows afterwards, in words.
    listings: the scans whose order an index could give.
    """

    sql: str
    parameters: tuple[object, ...]
    collections: frozenset[str]
    finish: Finish
    dynamic: bool = False
    order: str = ""
    compared: Compared | None = None
    most: int | None = None
    exact: bool = True
    pushed: tuple[str, ...] = ()
    finished: tuple[str, ...] = ()
    listings: tuple[Listing, ...] = ()


@dataclass(frozen=True, slots=True)
class NotCompiled:
    """The query stays with the evaluator. reason: the first thing that could not be compiled exactly, in words."""

    reason: str
    detail: str = field(default="", compare=False)
