"""The columns that one level of a query selects for its result."""

from __future__ import annotations

from dataclasses import dataclass, field

from proxy.aql import ast
from proxy.aql.compile.result_builder import Column, Finish


@dataclass(slots=True)
class OutputColumns:
    """The columns of the rows of one level, each once: what the result builder reads, and its SQL."""

    columns: list[Column] = field(default_factory=list)
    sql: list[str] = field(default_factory=list)
    _names: dict[tuple[str, str], str] = field(default_factory=dict)

    def add(self, sql: str, kind: str, rows: Finish | None = None) -> ast.Variable:
        """Select the SQL as a column and return the variable of that column. kind: see `Column`."""
        name = self._names.get((sql, kind))
        if name is None:
            name = self._names[sql, kind] = f"#{len(self.columns)}"
            self.columns.append(Column(name, kind, rows))
            self.sql.append(sql)
        return ast.Variable(name)

    def as_json(self) -> str:
        """Return the SQL of one row as a json array."""
        return f"json_build_array({', '.join(self.sql)})"
