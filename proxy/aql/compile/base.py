"""The ground that all compiling stands on: tables, names, parameters; forms of a term; values that are known ahead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from proxy.aql import ast
from proxy.aql.analyse import source_name
from proxy.aql.compile.plan import Table, Tables
from proxy.aql.compile.scope import Block, Scan, Scope
from proxy.aql.compile.sql_terms import AnyTerm, Binds, Constant, NotCompilable, Parameters, Term, plain_text
from proxy.aql.compiled_types import Stepwise
from proxy.aql.query_compiler import ProgramCompiler
from proxy.aql.query_context import Context
from proxy.aql.requests import Options
from proxy.aql.signatures import FETCHING, RANDOM
from proxy.aql.values import truthy

_NOT_AHEAD: Final = (RANDOM - {"DATE_NOW"}) | FETCHING | {
    "ASSERT", "WARN", "FAIL", "SLEEP", "CALL", "APPLY", "CURRENT_DATABASE",
}  # fmt: skip
_MOST_NODES: Final = 4000  # of expressions put in the place of variables


class FormCompiler:
    """What compiling a query has at hand, the forms of a term in SQL, and what can be worked out ahead."""

    def __init__(self, binds: Mapping[str, Any], catalog: Tables) -> None:
        self.binds = Binds(binds)
        self.fleeting = False  # whether the statement is one of this moment
        self.catalog = catalog
        self.parameters = Parameters()
        self.scope = Scope()
        self.block = Block()
        self.numbers = 0
        self.used: set[str] = set()
        self.scans: dict[str, Scan] = {}  # by the SQL of their documents
        self.mentioned: frozenset[str] = frozenset()  # variables that some expression of the query names
        self.dynamic = False
        self.by_key = False  # whether the SORT at hand is one by the primary index
        self.currents = 0  # arrays whose elements are gone through just now
        self.budget = _MOST_NODES
        self.context = Context(self.binds, Options(max_warnings=_MOST_NODES))

    # --- helpers

    def fresh(self, letter: str) -> str:
        """A name that nothing else has."""
        self.numbers += 1
        return f"{letter}{self.numbers}"

    def table(self, name: str) -> Table:
        """The table of a collection; notes that it is read."""
        found = self.catalog.tables.get(name)
        if found is None:
            raise NotCompilable(f"collection {name} has no table")
        self.used.add(name)
        return found

    def collection_name(self, node: ast.Expr) -> str | None:
        """The collection that an expression names, if it does."""
        if isinstance(node, ast.Collection):
            return node.name
        if isinstance(node, ast.Parameter) and node.source:
            return source_name(self.binds, node.name)
        return None

    # --- forms

    def json(self, term: AnyTerm) -> str:
        """As jsonb; null may be SQL NULL."""
        if isinstance(term, Constant):
            return "NULL::jsonb" if term.kind == "null" else self.parameters.json(term)
        return term.sql if term.kind == "json" else f"to_jsonb({term.sql})"

    def text(self, term: AnyTerm) -> str:
        """As text functions take it."""
        if isinstance(term, Constant):
            if term.kind == "text":
                return self.parameters.constant(term, "text", str)
            value = self.folded(ast.Call("TO_STRING", (ast.Literal(term.value),))).value
            if not plain_text(value):
                raise NotCompilable("text that jsonb does not hold")
            return self.parameters.add(value, "text")
        return term.sql if term.kind == "text" else f"_crossfade.text({self.json(term)})"

    def number(self, term: AnyTerm) -> str:
        """As the double that arithmetic takes."""
        if isinstance(term, Term):
            if term.kind == "number":
                return f"coalesce({term.sql}, 0)"
            if term.kind == "int":
                return f"({term.sql})::double precision"
        return f"_crossfade.number({self.json(term)})"

    def sort_key(self, term: AnyTerm) -> str:
        """Its place among all values. Of an attribute in the form that an index on it serves."""
        if isinstance(term, Term) and term.member is not None:
            return f"_crossfade.order_key({term.member[0]}, {term.member[1]})"
        return f"_crossfade.sort_key({self.json(term)})"

    def truth(self, term: AnyTerm) -> str:
        """As a boolean that is never NULL."""
        if isinstance(term, Constant):
            return "true" if truthy(term.value) else "false"
        if term.kind == "bool":
            return term.sql
        if term.kind == "text":
            return f"({term.sql} <> '')"
        if term.kind in ("number", "int"):
            return f"coalesce({term.sql} <> 0, false)"
        return f"_crossfade.truthy({term.sql})"

    # --- ahead

    def folded(self, node: ast.Expr) -> Constant:
        """The value of an expression without variables."""
        self.fleeting = self.fleeting or any(
            isinstance(below, ast.Call) and below.name == "DATE_NOW" for below in ast.walk(node)
        )
        compiler = ProgramCompiler(self.context)
        warned = len(self.context.warnings)
        compiled = compiler.expression(node)
        assert not isinstance(compiled, Stepwise)
        value = compiled([None] * compiler.size)
        if len(self.context.warnings) > warned:
            raise NotCompilable("a constant that warns")
        return Constant(value)

    def constant(self, node: ast.Node) -> bool:
        """Whether an expression can be worked out ahead."""
        bound: set[str] = set() if self.currents else {"CURRENT"}
        for below in ast.walk(node):
            if isinstance(below, (ast.Subquery, ast.Collection)) or (isinstance(below, ast.Parameter) and below.source):
                return False
            if isinstance(below, ast.Variable) and below.name not in bound:
                return False
            if isinstance(below, ast.Call) and (below.name in _NOT_AHEAD or "::" in below.name):
                return False
        return not isinstance(node, ast.Range)
