"""The forms in which a term can be written: as jsonb, text, number, boolean or sort key."""

from __future__ import annotations

import re
from typing import Final

from proxy.aql.printing import to_string
from proxy.aql.sql_terms import AnyTerm, ConstantTerm, NotCompilable, Parameters, Term, false_after, plain_text
from proxy.aql.values import truthy

_CALLS: Final = re.compile(r"\w\(|SELECT")


class SqlForms:
    """Writes terms in the form that their context needs; the values of constants become parameters."""

    def __init__(self) -> None:
        self.parameters = Parameters()

    def json(self, term: AnyTerm) -> str:
        """Return the term as jsonb; null may be SQL NULL."""
        if isinstance(term, ConstantTerm):
            return "NULL::jsonb" if term.kind == "null" else self.parameters.json(term)
        return term.sql if term.kind == "json" else f"to_jsonb({term.sql})"

    def text(self, term: AnyTerm) -> str:
        """Return the term as the text that AQL's string functions make of it."""
        if isinstance(term, ConstantTerm):
            if term.kind == "text":
                return self.parameters.constant(term, "text", str)
            value = to_string(term.value)
            if not plain_text(value):
                raise NotCompilable("text that jsonb does not hold")
            return self.parameters.add(value, "text")
        return term.sql if term.kind == "text" else f"_crossfade.text({self.json(term)})"

    def number(self, term: AnyTerm) -> str:
        """Return the term as the double that arithmetic takes."""
        if isinstance(term, Term):
            if term.kind == "number":
                return f"coalesce({term.sql}, 0)"
            if term.kind == "int":
                return f"({term.sql})::double precision"
            if term.member is not None and not _CALLS.search(term.sql):  # so cheap that PostgreSQL inlines the function
                return f"_crossfade.number_of({term.sql})"
        elif term.kind in ("count", "float"):
            return self.parameters.constant(term, "double precision", float, "double")
        return f"_crossfade.number({self.json(term)})"

    def sort_key(self, term: AnyTerm) -> str:
        """Return the term's position in the order of all values; of an attribute, in the form that an index serves."""
        if isinstance(term, Term) and term.member is not None:
            return f"_crossfade.order_key({term.member[0]}, {term.member[1]})"
        return f"_crossfade.sort_key({self.json(term)})"

    def truth(self, term: AnyTerm) -> str:
        """Return the term as a boolean that is never NULL."""
        if isinstance(term, ConstantTerm):
            return "true" if truthy(term.value) else "false"
        if term.kind == "bool":
            return term.sql
        if term.kind == "text":
            return f"({term.sql} <> '')"
        if term.kind in ("number", "int"):
            return f"coalesce({term.sql} <> 0, false)"
        return f"_crossfade.truthy({term.sql})"

    def is_null(self, term: AnyTerm) -> str:
        """Return the condition that the term is null, as a boolean that is never NULL."""
        if isinstance(term, ConstantTerm):
            return "true" if term.value is None else "false"
        if term.kind == "json":
            return f"(coalesce({term.sql}, 'null') = 'null')"
        return f"({term.sql} IS NULL)" if term.kind == "number" else false_after(term)
