"""Variables, logical operators, conditional operators, arrays and objects as terms."""

from __future__ import annotations

from proxy.aql import ast
from proxy.aql.compile.compilation import Compilation, term_of
from proxy.aql.compile.scope import AliasVar, DocumentVar, RowsVar, ValueVar
from proxy.aql.signatures import FETCHING
from proxy.aql.sql_terms import AnyTerm, NotCompilable, Term
from proxy.aql.trees import written
from proxy.aql.values import truthy

_MAX_ATTRIBUTES = 40  # of an object: PostgreSQL takes 100 arguments


@term_of(ast.Variable)
def variable(c: Compilation, node: ast.Variable) -> AnyTerm:
    """Compile a variable."""
    var = c.find(node.name)
    if isinstance(var, AliasVar):
        with c.in_scope(var.scope):
            return c.term(var.expression)
    if isinstance(var, DocumentVar):
        return Term(f"_crossfade.document({var.prefix}, {var.key}, {var.raw}, {var.doc})")
    if isinstance(var, RowsVar):
        return Term(var.at(var.value()))
    if isinstance(var, ValueVar):
        return Term(var.sql, var.kind, var.scalar)
    return Term(var.sql)


@term_of(ast.Passthru)
def passthru(c: Compilation, node: ast.Passthru) -> AnyTerm:
    """Compile parentheses round an expansion."""
    return c.term(node.inner)


@term_of(ast.Unary)
def unary(c: Compilation, node: ast.Unary) -> Term:
    """Compile NOT; signs are not compiled."""
    if node.op == "NOT":
        return Term(c.condition(node), "bool", scalar=True)
    raise NotCompilable("a sign before an expression")


@term_of(ast.Logical)
def logical(c: Compilation, node: ast.Logical) -> AnyTerm:
    """Compile AND and OR, whose value is one of the operands."""
    terms = [c.term(operand) for operand in node.operands]
    if all(isinstance(term, Term) and term.kind == "bool" for term in terms):
        return Term("(" + f" {node.op} ".join(c.truth(term) for term in terms) + ")", "bool", scalar=True)
    result = c.json(terms[-1])
    for term in reversed(terms[:-1]):
        value = c.json(term)
        yes, no = (value, result) if node.op == "OR" else (result, value)
        result = f"CASE WHEN {c.truth(term)} THEN {yes} ELSE {no} END"
    return Term(f"({result})")


@term_of(ast.Ternary)
def ternary(c: Compilation, node: ast.Ternary) -> AnyTerm:
    """Compile a ? b : c and a ?: c."""
    if c.is_constant(node.condition):
        chosen = c.folded(node.condition)
        if truthy(chosen.value):
            return chosen if node.then is None else c.term(node.then)
        return c.term(node.otherwise)
    test = c.condition(node.condition)
    then = c.term(node.condition if node.then is None else node.then)
    otherwise = c.term(node.otherwise)
    if isinstance(then, Term) and isinstance(otherwise, Term) and then.kind == otherwise.kind:
        return Term(f"(CASE WHEN {test} THEN {then.sql} ELSE {otherwise.sql} END)", then.kind)
    return Term(f"(CASE WHEN {test} THEN {c.json(then)} ELSE {c.json(otherwise)} END)")


@term_of(ast.Array)
def array(c: Compilation, node: ast.Array) -> Term:
    """Compile [a, b, …]."""
    items = ", ".join(c.json(c.term(item)) for item in node.items)
    return Term(f"jsonb_build_array({items})")


@term_of(ast.Object)
def object_literal(c: Compilation, node: ast.Object) -> Term:
    """Compile {a: b, …} whose attribute names are constants."""
    pairs: dict[str, str] = {}
    for item in written(node):
        name = attribute_name(c, item)
        if name not in pairs:
            pairs[name] = c.json(c.term(item.value))
    parts = ", ".join(f"{c.parameters.name(name)}, {value}" for name, value in pairs.items())
    if len(pairs) > _MAX_ATTRIBUTES:
        raise NotCompilable("an object of many attributes")
    return Term(f"jsonb_build_object({parts})")


def attribute_name(c: Compilation, item: ast.Item) -> str:
    """Return the name of an attribute of an object literal. Raise NotCompilable if it is not constant."""
    name = item.name
    if item.computed is not None:
        if not c.is_constant(item.computed):
            raise NotCompilable("an attribute name that is computed")
        value = c.folded(item.computed).value
        name = value if isinstance(value, str) else None
    if name is None:
        raise NotCompilable("an attribute name that is computed")
    return name


def pure(node: ast.Node) -> bool:
    """Return True if no expression below reads documents."""
    return not any(
        isinstance(below, (ast.Collection, ast.Traversal, ast.Paths))
        or (isinstance(below, ast.Parameter) and below.source)
        or (isinstance(below, ast.Call) and below.name in FETCHING)
        for below in ast.walk(node)
    )
