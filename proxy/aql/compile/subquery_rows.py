"""The rows of a subquery as a FROM item, with those columns that turn out to be needed."""

from __future__ import annotations

from proxy.aql.compile.result_builder import Finish
from proxy.aql.compile.scope import Block
from proxy.aql.sql_terms import NotCompilable


class WantedColumns:
    """Which columns of rows are needed, and why one cannot be given. prefix: of the names of the columns.

    value_column, output_column: the SQL of a row as jsonb and as a json tuple; no_value, no_output: why there is none.
    """

    def __init__(self, alias: str, prefix: str = "") -> None:
        self.alias = alias
        self.prefix = prefix
        self.finish: Finish | None = None
        self.output_column = self.value_column = ""
        self.no_output: NotCompilable | None = None
        self.no_value: NotCompilable | None = None
        self.wanted: set[str] = set()

    def value(self) -> str:
        """Select the rows as jsonb. Raise NotCompilable."""
        if self.no_value is not None:
            raise self.no_value
        self.wanted.add("v")
        return f"{self.alias}.{self.prefix}v"

    def output(self) -> tuple[str, object]:
        """Select the rows as json tuples, and return how each becomes a row. Raise NotCompilable."""
        if self.no_output is not None:
            raise self.no_output
        self.wanted.add("o")
        return f"{self.alias}.{self.prefix}o", self.finish

    def count(self) -> str:
        """Select the number of rows."""
        self.wanted.add("n")
        return f"{self.alias}.{self.prefix}n"


class SubqueryRows(WantedColumns):
    """The rows of a subquery."""

    def count(self) -> str:
        """Select the number of rows. Raise NotCompilable if only the result builder knows it."""
        if self.finish is not None and self.finish.distinct:
            raise NotCompilable("RETURN DISTINCT in a condition")
        return super().count()

    def text(self, block: Block) -> str:
        """Return the FROM item."""
        columns, inner = [], []
        guard = block.guard("q")
        if "v" in self.wanted:
            columns.append(_refusing(guard, "coalesce(jsonb_agg(q.v), '[]'::jsonb)") + " AS v")
            inner.append(f"{self.value_column} AS v")
        if "o" in self.wanted:
            columns.append(_refusing(guard, "coalesce(json_agg(q.o), '[]'::json)") + " AS o")
            inner.append(f"{self.output_column} AS o")
        if "n" in self.wanted:
            columns.append("count(*) AS n")
        if not inner and not block.limit:
            block.order = []  # it does not change the number of rows
        rows = block.select(inner or ["1 AS one"])
        return f"LATERAL (SELECT {', '.join(columns or ['1 AS one'])} FROM ({rows}) q) {self.alias}"


def _refusing(guard: str, value: str) -> str:
    return f"_crossfade.unless(bool_or({guard}), {value})" if guard else value
