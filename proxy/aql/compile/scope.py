"""Variables (columns of FROM items, or expressions over other variables), scopes, and the blocks of a query.

A block is one SELECT under construction. If a later statement must see its rows cut or grouped, the block becomes a
FROM item of the next block, and its variables move to the columns of that item.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from proxy.aql import ast
from proxy.aql.sql_terms import Deferred


@dataclass(slots=True, eq=False)
class DocumentVar:
    """A document: SQL of its key, of its jsonb without _key, _id, _rev, of its raw json, and of `collection/`.

    collection: None if it is known only while the statement runs. nullable: all columns are NULL if DOCUMENT() found
    nothing. edges: the alias of a table with the columns from_id and to_id, while it is in reach. indexed: attributes
    with an index. served: an index on an expression finds it. narrowing: conditions that serve only the index on doc.
    """

    key: str
    doc: str
    raw: str
    prefix: str
    collection: str | None = None
    nullable: bool = False
    edges: str | None = None
    indexed: frozenset[str] = frozenset()
    served: bool = False
    narrowing: list[str] = field(default_factory=list)

    def remap(self, move: Callable[[str], str]) -> None:
        """Replace its columns by those that `move` gives."""
        self.key, self.doc, self.raw = move(self.key), move(self.doc), move(self.raw)
        if self.collection is None:
            self.prefix = move(self.prefix)
        self.edges = None


@dataclass(slots=True, eq=False)
class ValueVar:
    """A value that SQL computes. kind, scalar: as of a `Term`."""

    sql: str
    kind: str = "json"
    scalar: bool = False

    def remap(self, move: Callable[[str], str]) -> None:
        """Replace its column by the one that `move` gives."""
        self.sql = move(self.sql)


@dataclass(slots=True, eq=False)
class ElementVar:
    """An element of an array: its value, its place from 1 on, and the array's expression, for the result builder.

    text: SQL of the json that ArangoDB prints for it; empty if there is none.
    """

    sql: str
    place: str
    source: ast.Expr
    scope: VariableScope
    text: str = ""

    def remap(self, move: Callable[[str], str]) -> None:
        """Replace its columns by those that `move` gives."""
        self.sql, self.place = move(self.sql), move(self.place)
        self.text = self.text and move(self.text)


@dataclass(slots=True, eq=False)
class AliasVar:
    """An expression over other variables."""

    expression: ast.Expr
    scope: VariableScope


@dataclass(slots=True, eq=False)
class RowsVar:
    """Rows of a subquery, or what INTO gathered. value: jsonb; output: json of tuples; each is selected on demand."""

    value: Callable[[], str]
    output: Callable[[], tuple[str, object]]
    count: Callable[[], str]
    shift: list[Callable[[str], str]] = field(default_factory=list)

    def remap(self, move: Callable[[str], str]) -> None:
        """Replace its columns by those that `move` gives."""
        self.shift.append(move)

    def at(self, sql: str) -> str:
        """Return a column of it, in the block that it has moved to."""
        for move in self.shift:
            sql = move(sql)
        return sql


Var: TypeAlias = DocumentVar | ValueVar | ElementVar | AliasVar | RowsVar
Remappable: TypeAlias = DocumentVar | ValueVar | ElementVar | RowsVar


@dataclass(slots=True)
class VariableScope:
    """Variables by name; others are looked up in the outer scope."""

    variables: dict[str, Var] = field(default_factory=dict)
    outer: VariableScope | None = None

    def find(self, name: str) -> Var | None:
        """Return the variable of this name; None if there is none."""
        scope: VariableScope | None = self
        while scope is not None:
            found = scope.variables.get(name)
            if found is not None:
                return found
            scope = scope.outer
        return None


@dataclass(frozen=True, slots=True)
class OrderKey:
    """One key of ORDER BY.

    guarded: a sort key whose order among arrays and objects is not exact. loose: the key of the documents of a large
    collection that a loop goes through.
    """

    sql: str
    descending: bool
    guarded: bool
    loose: bool = False


@dataclass(slots=True, eq=False)
class CollectionScan:
    """One FOR over a collection, for the advice which index would serve it.

    equal: attributes that are compared by == with known values; order: keys of a SORT over this collection only. Both
    are SQL over the columns of the table.
    """

    collection: str
    equal: dict[str, None] = field(default_factory=dict)
    order: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FromItem:
    """One FROM item; its text is made at the end. left: if it has no row, one row of NULLs takes its place."""

    text: Callable[[], str]
    left: bool = False


@dataclass(slots=True, eq=False)
class Block:
    """One SELECT.

    items: FROM items, in order. sorted_by: "sort", "collect", "place" (the order of loops: by the place of an element
    in its array, by the key of a document) or "". bounds: offset and count of the LIMIT. distinct: of equal rows the
    first counts. lookups: documents that DOCUMENT fetches, by the SQL of their ids. limited: the block that a LIMIT
    cut, and its alias here, until the next FOR or SORT. ties: the numbers of the first and the last row, as terms, if
    their whole runs of equal keys are selected instead of the LIMIT; n and run are columns then.
    """

    items: list[FromItem] = field(default_factory=list)
    where: list[str] = field(default_factory=list)
    order: list[OrderKey] = field(default_factory=list)
    sorted_by: str = ""
    group: int = 0
    limit: str = ""
    bounds: tuple[int | Deferred, int | Deferred | None] | None = None
    owned: list[Remappable] = field(default_factory=list)
    distinct: bool = False
    lookups: dict[str, DocumentVar] = field(default_factory=dict)
    limited: tuple[Block, str] | None = None
    ties: tuple[str, str] | None = None

    def body(self) -> str:
        """Return FROM … WHERE … GROUP BY …."""
        text = ""
        for item in self.items:
            if not text:
                text = f" FROM (SELECT) one LEFT JOIN {item.text()} ON true" if item.left else f" FROM {item.text()}"
            else:
                text += f" LEFT JOIN {item.text()} ON true" if item.left else f" CROSS JOIN {item.text()}"
        if self.where:
            text += " WHERE " + " AND ".join(self.where)
        if self.group:
            text += " GROUP BY " + ", ".join(str(number + 1) for number in range(self.group))
        return text

    def ordered_by(self) -> list[OrderKey]:
        """Return the keys of its order; if all rows of one large collection are selected they stay unordered."""
        if len(self.order) == 1 and self.order[0].loose and not (self.limit or self.distinct):
            return []
        return self.order

    def select(self, columns: Iterable[str]) -> str:
        """Return the SELECT of these columns, followed by the keys of its order as k0, k1, …"""
        order = self.ordered_by()
        keys = [f"{key.sql} AS k{number}" for number, key in enumerate(order)]
        text = "SELECT " + ", ".join([*columns, *keys]) + self.body()
        if not order:
            return text + self.limit
        by = ", ".join(f"k{number} DESC" if key.descending else f"k{number}" for number, key in enumerate(order))
        if self.ties is None:
            return f"{text} ORDER BY {by}{self.limit}"
        first, last = self.ties
        return (
            f"WITH i AS ({text}), s AS (SELECT *, row_number() OVER (ORDER BY {by}) AS n, "
            f"rank() OVER (ORDER BY {by}) AS run FROM i) SELECT * FROM s "
            f"WHERE run >= (SELECT run FROM s WHERE n = {first}) AND run <= (SELECT max(run) FROM s WHERE n <= {last}) "
            "ORDER BY n"
        )

    def guard(self, alias: str) -> str:
        """Return the condition that a row of that SELECT has an array or object as a sort key; "" if none can."""
        guarded = [f"({alias}.k{number}).r >= 4" for number, key in enumerate(self.order) if key.guarded]
        return " OR ".join(guarded)


class ColumnRemapping:
    """Names the columns that are still needed of a block that becomes a FROM item."""

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self.columns: dict[str, str] = {}

    def __call__(self, sql: str) -> str:
        """Return the column of the FROM item for a term of the block."""
        name = self.columns.setdefault(sql, f"m{len(self.columns)}")
        return f"{self.alias}.{name}"

    def select(self) -> Iterator[str]:
        """Yield the SELECT list."""
        for sql, name in self.columns.items():
            yield f"{sql} AS {name}"
