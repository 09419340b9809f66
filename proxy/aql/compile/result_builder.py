"""Rows of a compiled statement -> rows of the result.

The statement chooses, orders and groups. The rows of the result are built here, by the closures of the evaluator, from
the stored text of the documents: so numbers and the order of attributes are those of ArangoDB to the byte.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from proxy.aql import ast
from proxy.aql.compiled_types import Plain, Stepwise
from proxy.aql.execution import ProgramCompiler
from proxy.aql.query_context import QueryContext
from proxy.aql.requests import QueryOptions
from proxy.aql.values import Value, double, hash_key
from proxy.base.errors import StatementError
from proxy.model import json_reader, json_values
from proxy.model.documents import from_jsonb_text

INEXACT = "22P05"  # the SQLSTATE of data for which the statement is not exact
_ARRAY_RANK = 4


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    kind: "raw" (JSON as stored), "json" (text of jsonb), "value" (as the driver gives it), "number" (a double), or
    "rows" (JSON array of tuples, which `rows` makes rows).
    """

    name: str
    kind: str
    rows: Finish | None = None


@dataclass(frozen=True, slots=True)
class Finish:
    """The step from a row of the statement to a row of the result: `Finish.start` for one run, then `run.value(row)`.

    expression: over variables with the names of the columns. guards: the number of further columns, each with the rank
    of a sort key. distinct: equal rows are given once.
    """

    columns: tuple[Column, ...]
    expression: ast.Expr
    distinct: bool = False
    guards: int = 0

    @property
    def plain(self) -> bool:
        """True if a row of the result is one stored document."""
        return (
            isinstance(self.expression, ast.Variable)
            and len(self.columns) == 1
            and self.columns[0].kind == "raw"
            and not self.distinct
        )

    def start(self, binds: Mapping[str, Any], options: QueryOptions | None = None) -> BuilderRun:
        """Begin one run of the query. Raise ArangoError, Unsupported as the evaluator would."""
        return BuilderRun(self, QueryContext(dict(binds), options or QueryOptions()))


class BuilderRun:
    """One run: `values` or `encoded` of the statement's rows, each a sequence of columns. Warnings are in `context`."""

    def __init__(self, finish: Finish, context: QueryContext) -> None:
        self.context = context
        self._finish = finish
        self._slots: list[int] = []
        self._inner: list[BuilderRun | None] = []
        self._size = 0
        self._project: Plain | None = None
        self._seen: set[Any] = set()
        if not finish.plain:
            self._made()

    def _made(self) -> Plain:
        """Compile the expression over the columns; for a stored document only when it is needed."""
        finish = self._finish
        compiler = ProgramCompiler(self.context)
        self._slots = [compiler.slot(column.name) for column in finish.columns]
        self._inner = [
            None if column.rows is None else BuilderRun(column.rows, self.context) for column in finish.columns
        ]
        compiler.known = {column.name for column in finish.columns}
        compiled = compiler.expression(finish.expression)
        assert not isinstance(compiled, Stepwise)
        self._project, self._size = compiled, compiler.size
        return compiled

    def value(self, row: Sequence[Any]) -> Value:
        """Build a row of the result."""
        project = self._project or self._made()
        frame: list[Any] = [None] * self._size
        for slot, column, inner, cell in zip(self._slots, self._finish.columns, self._inner, row[1:], strict=False):
            if cell is None or column.kind == "value":
                frame[slot] = cell
            elif column.kind == "number":
                frame[slot] = double(cell)
            else:
                frame[slot] = _decoded(json_reader.load(cell.encode()), column.kind, inner)
        return project(frame)

    def part(self, row: Sequence[Any]) -> Value:
        """Build a row inside another one, whose columns were decoded with that one."""
        project = self._project or self._made()
        frame: list[Any] = [None] * self._size
        for slot, column, inner, cell in zip(self._slots, self._finish.columns, self._inner, row, strict=True):
            frame[slot] = _decoded(cell, column.kind, inner)
        return project(frame)

    def values(self, rows: Sequence[Sequence[Any]]) -> list[Value]:
        """Build the rows of the result. Raise StatementError (22P05) if their order is not exact."""
        self.check(rows)
        return self.unique([self.value(row) for row in rows])

    def encoded(self, rows: Sequence[Sequence[Any]]) -> list[bytes]:
        """Build the rows as JSON, as ArangoDB prints it. Raise StatementError as `values` does."""
        if self._finish.plain:
            self.check(rows)
            return [b"null" if row[1] is None else row[1].encode() for row in rows]
        return [json_values.dump(value) for value in self.values(rows)]

    def check(self, rows: Sequence[Sequence[Any]]) -> None:
        """Raise StatementError if arrays or objects were sorted."""
        first = len(self._finish.columns) + 1  # after `found`
        for number in range(first, first + self._finish.guards):
            if any(row[number] is not None and row[number] >= _ARRAY_RANK for row in rows):
                raise StatementError("order of arrays or objects", INEXACT)

    def unique(self, rows: list[Value]) -> list[Value]:
        """Leave out rows that were given before, if the query says DISTINCT."""
        if not self._finish.distinct:
            return rows
        found = []
        for row in rows:
            key = hash_key(row)
            if key not in self._seen:
                self._seen.add(key)
                found.append(row)
        return found

    def inner(self, rows: Sequence[Sequence[Any]]) -> list[Value]:
        """Build the rows of a subquery, for one outer row."""
        self._seen.clear()
        return self.unique([self.part(row) for row in rows])


def _decoded(value: Any, kind: str, inner: BuilderRun | None) -> Value:
    if inner is not None:
        return inner.inner(value or [])
    if kind == "number":
        return None if value is None else double(float(value))
    return from_jsonb_text(value) if kind == "json" else value
