"""Dates in conditions and sort keys. What is no date is refused as the statement runs: the evaluator then warns."""

from __future__ import annotations

from typing import Final

from proxy.aql import ast
from proxy.aql.compile.arrays import ArrayCompiler
from proxy.aql.compile.sql_terms import AnyTerm, Constant, NotCompilable, Term

_PARTS: Final = {
    "DATE_YEAR": "year",
    "DATE_MONTH": "month",
    "DATE_DAY": "day",
    "DATE_HOUR": "hour",
    "DATE_MINUTE": "minute",
    "DATE_SECOND": "second",
    "DATE_DAYOFWEEK": "dow",
    "DATE_DAYOFYEAR": "doy",
    "DATE_QUARTER": "quarter",
    "DATE_ISOWEEK": "week",
}
_UNITS: Final = {
    name: unit
    for unit, names in {
        "year": "y year years",
        "month": "m month months",
        "day": "d day days",
        "hour": "h hour hours",
        "minute": "i minute minutes",
        "second": "s second seconds",
    }.items()
    for name in names.split()
}


class DateCompiler(ArrayCompiler):
    """Compiles functions of dates, of one date each and in UTC."""

    def call(self, node: ast.Call) -> AnyTerm:
        name, arguments = node.name, node.arguments
        if name == "DATE_TRUNC" and len(arguments) == 2:
            return Term(
                f"_crossfade.iso_text(date_trunc('{self.unit(arguments[1])}', {self.moment(node)}))", "text", True
            )
        if len(arguments) == 1:
            if name == "DATE_TIMESTAMP":
                return Term(f"_crossfade.date_ms({self.json(self.term(arguments[0]))})", "int", True)
            if name == "DATE_ISO8601":
                return Term(f"_crossfade.iso_text({self.moment(node)})", "text", True)
            if name in _PARTS:
                return Term(f"floor(extract({_PARTS[name]} FROM {self.moment(node)}))::bigint", "int", True)
        return super().call(node)

    def moment(self, node: ast.Call) -> str:
        """The first argument as a timestamp of UTC."""
        return f"_crossfade.moment({self.json(self.term(node.arguments[0]))})"

    def unit(self, node: ast.Expr) -> str:
        """A unit by one of its names."""
        term = self.term(node)
        unit = _UNITS.get(str(term.value).lower()) if isinstance(term, Constant) else None
        if unit is None:
            raise NotCompilable("DATE_TRUNC to such a unit")
        return unit
