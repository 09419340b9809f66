"""What the compiler is given and what it gives back: frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from proxy.aql.compile.finish import Finish


@dataclass(frozen=True, slots=True)
class Table:
    """Where a collection's documents lie. relation: schema-qualified and quoted by PostgreSQL itself."""

    relation: str
    edge: bool = False


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables that a query may read, by collection name without database.

    icu: whether the migration found ICU; without it nothing that depends on the order of strings is compiled.
    """

    tables: Mapping[str, Table]
    icu: bool = True


@dataclass(frozen=True, slots=True)
class Compiled:
    """A whole query as one SELECT.

    sql: its text; parameters: the values of $1, $2, …; collections: names (without database) of what it reads.
    finish: makes a row of the statement into a row of the result, see `Finish`.
    ordered: the statement's rows come in the order of the result (SORT or COLLECT decide it); else in any order.
    exact: always true of what the compiler gives: the rows equal the evaluator's. A statement that fails at run time
    with an SQLSTATE of class 22 says that its data is outside what SQL does exactly: the evaluator then answers.
    pushed: what the statement does, in words; finished: what is worked out of its rows afterwards, in words.
    """

    sql: str
    parameters: tuple[object, ...]
    collections: frozenset[str]
    finish: Finish
    ordered: bool = False
    exact: bool = True
    pushed: tuple[str, ...] = ()
    finished: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NotCompiled:
    """The query stays with the evaluator. reason: the first thing that could not be compiled exactly, in words."""

    reason: str
    detail: str = field(default="", compare=False)
