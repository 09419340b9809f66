"""The compilation of one query: its shared state, and registries by node type through which its parts call each other.

The other modules are plain functions whose first argument `c` is the `Compilation`. Those that compile a type of node
are registered with `term_of`, `statement_of` or `output_of`, and called through `c.term`, `c.statement`, `c.output`:
so an expression can contain a subquery, and a subquery expressions, without modules that import each other.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, replace
from typing import Any, Final, TypeAlias, TypeVar

from proxy.aql import ast
from proxy.aql.analyse import source_name
from proxy.aql.compile.output_columns import OutputColumns
from proxy.aql.compile.plan import CompiledTable, CompiledTables
from proxy.aql.compile.scope import AliasVar, Block, CollectionScan, Remappable, RowsVar, Var, VariableScope
from proxy.aql.compiled_types import Stepwise
from proxy.aql.execution import ProgramCompiler
from proxy.aql.query_context import QueryContext
from proxy.aql.registration import registering
from proxy.aql.requests import QueryOptions
from proxy.aql.signatures import NOT_AHEAD
from proxy.aql.sql_forms import SqlForms
from proxy.aql.sql_terms import AnyTerm, Binds, BoundTerm, ConstantTerm, NotCompilable
from proxy.base.errors import ArangoError, Unsupported

_MAX_NODES: Final = 4000  # expressions replace the variables that LET binds: nested ones grow without this bound
NOTHING: Final[frozenset[str]] = frozenset()

TermCompiler: TypeAlias = Callable[["Compilation", Any], AnyTerm]
StatementCompiler: TypeAlias = Callable[["Compilation", Any], None]
OutputCompiler: TypeAlias = Callable[["Compilation", Any, OutputColumns, frozenset[str]], ast.Expr]
_TERMS: Final[dict[type, TermCompiler]] = {}
_STATEMENTS: Final[dict[type, StatementCompiler]] = {}
_OUTPUTS: Final[dict[type, OutputCompiler]] = {}
_Term = TypeVar("_Term", bound=TermCompiler)
_Statement = TypeVar("_Statement", bound=StatementCompiler)
_Output = TypeVar("_Output", bound=OutputCompiler)


class Compilation(SqlForms):
    """One query on its way to one statement.

    binds: records whose values the statement depends on. momentary: the statement holds for this moment only, because
    of DATE_NOW. scans: by the SQL of their documents. mentioned: variables that some expression of the query names.
    by_key: the present SORT is one by the primary index. place: the statements of the level, and the index of the
    present one. currents: depth of array operators, in which CURRENT is a
    variable. stable_sorts: rows of equal sort keys keep their order, because a LIMIT decides which are written.
    """

    def __init__(self, binds: Mapping[str, Any], catalog: CompiledTables) -> None:
        super().__init__()
        self.binds = Binds(binds)
        self.momentary = False
        self.catalog = catalog
        self.scope = VariableScope()
        self.block = Block()
        self.collections: set[str] = set()
        self.scans: dict[str, CollectionScan] = {}
        self.mentioned: frozenset[str] = frozenset()
        self.by_key = False
        self.stable_sorts = False
        self.place: tuple[tuple[ast.Statement, ...], int] = ((), 0)
        self.currents = 0
        self._names = 0
        self._nodes_left = _MAX_NODES
        self._context = QueryContext(self.binds, QueryOptions(max_warnings=_MAX_NODES))

    # --- dispatch by node type

    def term(self, node: ast.Expr) -> AnyTerm:
        """Compile an expression to a term. Raise NotCompilable."""
        self._count_node()
        if isinstance(node, ast.Literal):
            return ConstantTerm(node.value)
        if isinstance(node, ast.Parameter) and not node.source and node.name in self.binds:
            return BoundTerm(node.name, self.binds)
        if self.is_constant(node):
            try:
                return self.folded(node)
            except (ArangoError, Unsupported) as error:
                raise NotCompilable(str(error)) from None
        compiler = _TERMS.get(type(node))
        if compiler is None:
            raise NotCompilable(type(node).__name__.lower())
        return compiler(self, node)

    def condition(self, node: ast.Expr) -> str:
        """Compile an expression to a boolean that is never NULL."""
        if isinstance(node, ast.Logical) and not self.is_constant(node):
            parts = [self.condition(operand) for operand in node.operands]
            return "(" + f" {node.op} ".join(parts) + ")"
        if isinstance(node, ast.Unary) and node.op == "NOT":
            return f"(NOT {self.condition(node.operand)})"
        return self.truth(self.term(node))

    def statement(self, node: ast.Statement) -> None:
        """Compile a statement into the present block. Raise NotCompilable."""
        compiler = _STATEMENTS.get(type(node))
        if compiler is None:
            raise NotCompilable(type(node).__name__.upper())
        compiler(self, node)

    def output(self, node: Any, columns: OutputColumns, hidden: frozenset[str] = NOTHING) -> Any:
        """Rewrite an expression to one over the columns of a row, which it adds. Raise NotCompilable.

        hidden: variables that the expression itself binds. A node of a type without a rule is copied, with all nodes
        below it rewritten.
        """
        self._count_node()
        compiler = _OUTPUTS.get(type(node))
        if compiler is not None:
            return compiler(self, node, columns, hidden)
        return self.output_children(node, columns, hidden) if isinstance(node, ast.Node) else node

    def output_children(self, node: ast.Node, columns: OutputColumns, hidden: frozenset[str]) -> Any:
        """Copy a node with all nodes below it rewritten by `output`."""
        changed: dict[str, Any] = {}
        for part in fields(node):
            value = getattr(node, part.name)
            if not part.compare:
                continue
            if isinstance(value, ast.Node):
                changed[part.name] = self.output(value, columns, hidden)
            elif isinstance(value, tuple) and any(isinstance(item, ast.Node) for item in value):
                changed[part.name] = tuple(self.output(item, columns, hidden) for item in value)
        return replace(node, **changed) if changed else node

    def _count_node(self) -> None:
        self._nodes_left -= 1
        if self._nodes_left < 0:
            raise NotCompilable("an expression that grows too large")

    # --- names and tables

    def fresh(self, letter: str) -> str:
        """Return a name that is not used yet."""
        self._names += 1
        return f"{letter}{self._names}"

    def table(self, name: str) -> CompiledTable:
        """Return the table of a collection, and record that the statement reads it."""
        found = self.catalog.tables.get(name)
        if found is None:
            raise NotCompilable(f"collection {name} has no table")
        self.collections.add(name)
        return found

    def collection_name(self, node: ast.Expr) -> str | None:
        """Return the name of the collection that an expression names; None for any other expression."""
        if isinstance(node, ast.Collection):
            return node.name
        if isinstance(node, ast.Parameter) and node.source:
            return source_name(self.binds, node.name)
        return None

    # --- variables

    def find(self, name: str) -> Var:
        """Return the variable of this name. Raise NotCompilable."""
        found = self.scope.find(name)
        if found is None:
            raise NotCompilable(f"variable {name}")
        return found

    def rows_of(self, node: ast.Expr, hidden: frozenset[str] = NOTHING) -> RowsVar | None:
        """Return the rows of a subquery that an expression is a variable for; None for any other expression."""
        var = self.resolved(node, hidden)
        return var if isinstance(var, RowsVar) else None

    def resolved(self, node: ast.Expr, hidden: frozenset[str] = NOTHING) -> Var | None:
        """Return the variable that an expression is, through variables that only rename another; None if it is none."""
        scope = self.scope
        while isinstance(node, ast.Variable) and node.name not in hidden:
            var = scope.find(node.name)
            if not isinstance(var, AliasVar):
                return var
            node, scope = var.expression, var.scope
        return None

    @contextlib.contextmanager
    def in_scope(self, scope: VariableScope) -> Iterator[None]:
        """Compile with the variables of another scope, for an expression that was written there."""
        before, self.scope = self.scope, scope
        try:
            yield
        finally:
            self.scope = before

    def bind(self, name: str, var: Remappable) -> None:
        """Add a variable whose columns are those of the present block."""
        self.block.owned.append(var)
        self.scope.variables[name] = var

    # --- constant folding

    def folded(self, node: ast.Expr) -> ConstantTerm:
        """Return the value of an expression without variables, computed by the evaluator."""
        self.momentary = self.momentary or any(
            isinstance(below, ast.Call) and below.name == "DATE_NOW" for below in ast.walk(node)
        )
        compiler = ProgramCompiler(self._context)
        warned = len(self._context.warnings)
        compiled = compiler.expression(node)
        assert not isinstance(compiled, Stepwise)
        value = compiled([None] * compiler.size)
        if len(self._context.warnings) > warned:
            raise NotCompilable("a constant that warns")
        return ConstantTerm(value)

    def is_constant(self, node: ast.Node) -> bool:
        """Return True if the value of an expression can be computed before the statement runs."""
        bound: set[str] = set() if self.currents else {"CURRENT"}
        for below in ast.walk(node):
            if isinstance(below, (ast.Subquery, ast.Collection)) or (isinstance(below, ast.Parameter) and below.source):
                return False
            if isinstance(below, ast.Variable) and below.name not in bound:
                return False
            if isinstance(below, ast.Call) and (below.name in NOT_AHEAD or "::" in below.name):
                return False
        return not isinstance(node, ast.Range)


def term_of(*types: type[ast.Node]) -> Callable[[_Term], _Term]:
    """Register the function that compiles expressions of these types to terms."""
    return registering(_TERMS, types)


def statement_of(*types: type[ast.Node]) -> Callable[[_Statement], _Statement]:
    """Register the function that compiles statements of these types."""
    return registering(_STATEMENTS, types)


def output_of(*types: type[ast.Node]) -> Callable[[_Output], _Output]:
    """Register the function that rewrites expressions of these types to ones over columns."""
    return registering(_OUTPUTS, types)
