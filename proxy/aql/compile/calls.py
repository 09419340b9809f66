"""Function calls as terms. The SQL form of a function is declared beside its implementation, in `proxy.aql.functions`.

Here are only those whose form depends on where a value lies: LENGTH of a collection or subquery, HAS of a document.
What is returned is computed from the rows of the statement afterwards, so a function needs a form only in conditions,
sort keys, groups and aggregates. A call that would warn is refused while the statement runs: the evaluator then
answers, with the warning.
"""

from __future__ import annotations

from proxy.aql import ast
from proxy.aql.compile.compilation import Compilation, term_of
from proxy.aql.compile.scope import DocumentVar
from proxy.aql.compile.subqueries import subquery_count
from proxy.aql.functions.sql_calls import SQL_FORMS, SqlCall
from proxy.aql.sql_terms import AnyTerm, ConstantTerm, NotCompilable, Term


@term_of(ast.Call)
def call(c: Compilation, node: ast.Call) -> AnyTerm:
    """Compile a function call."""
    if node.name in ("LENGTH", "COUNT"):
        return length(c, node.arguments[0])
    if node.name == "HAS":
        return _has(c, node)
    form = SQL_FORMS.get(node.name)
    term = None if form is None else form(SqlCall(node.name, node.arguments, c, c.term, c.condition))
    if term is None:
        raise NotCompilable(f"function {node.name} in a condition")
    return term


def length(c: Compilation, node: ast.Expr) -> AnyTerm:
    """Compile LENGTH and COUNT, of collections and subqueries as well."""
    collection = c.collection_name(node)
    if collection is not None:
        table = c.table(collection)
        return Term(f"(SELECT count(*) FROM {table.relation} WHERE doc IS NOT NULL)", "int", scalar=True)
    if isinstance(node, ast.Subquery):
        return Term(subquery_count(c, node), "int", scalar=True)
    rows = c.rows_of(node)
    if rows is not None:
        return Term(rows.at(rows.count()), "int", scalar=True)
    term = c.term(node)
    if isinstance(term, Term) and term.kind == "text":
        return Term(f"char_length({term.sql})", "int", scalar=True)
    return Term(f"_crossfade.length({c.json(term)})", "int", scalar=True)


def _has(c: Compilation, node: ast.Call) -> Term:
    """Compile HAS(object, name), which is true for an attribute that is null."""
    name = c.term(node.arguments[1])
    if not isinstance(name, ConstantTerm) or not isinstance(name.value, str):
        raise NotCompilable("HAS of a name that is not constant")
    quoted = c.parameters.name(name.value)
    base = node.arguments[0]
    var = c.scope.find(base.name) if isinstance(base, ast.Variable) else None
    if isinstance(var, DocumentVar):
        if name.value in ("_key", "_id", "_rev"):
            return Term(f"({var.key} IS NOT NULL)", "bool", scalar=True)
        return Term(f"coalesce(({var.doc} -> {quoted}) IS NOT NULL, false)", "bool", scalar=True)
    return Term(f"(({c.json(c.term(base))} -> {quoted}) IS NOT NULL)", "bool", scalar=True)
