"""Expressions -> SQL of the text that ArangoDB prints for their values; null is `null`, never NULL.

Parts of documents are copied from their text. What is computed is printed by SQL functions, which refuse a value that
a jsonb cannot give back exactly: a number with many zeros, an object of several attributes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

from proxy.aql import ast
from proxy.aql.access import bound_path
from proxy.aql.compile.compilation import Compilation
from proxy.aql.compile.expressions import attribute_name
from proxy.aql.compile.scope import AliasVar, DocumentVar, ElementVar, VariableScope
from proxy.aql.registration import registering
from proxy.aql.sql_terms import AnyTerm, BoundTerm, ConstantTerm, NotCompilable, plain_text
from proxy.aql.trees import written
from proxy.aql.values import truthy
from proxy.base.errors import ArangoError
from proxy.model.documents import to_jsonb
from proxy.model.json_values import dump

_SCALARS: Final = frozenset({"null", "bool", "count", "int", "float", "text"})


@dataclass(frozen=True, slots=True)
class Printed:
    """SQL of a text. flat: never that of an object. number: SQL of the double that is printed, if it is one."""

    sql: str
    flat: bool
    number: str | None = None


Printer: TypeAlias = Callable[[Compilation, Any], Printed]
_PRINTERS: Final[dict[type, Printer]] = {}
_Printer = TypeVar("_Printer", bound=Printer)


def printed(c: Compilation, node: ast.Expr) -> Printed:
    """Compile an expression to the text of its value. Raise NotCompilable."""
    if c.is_constant(node):
        term = c.term(node)
        assert isinstance(term, ConstantTerm)
        return _constant(c, term)
    printer = _PRINTERS.get(type(node))
    return _of_term(c, c.term(node)) if printer is None else printer(c, node)


def json_name(name: str) -> str:
    """Return the name of an attribute as it is printed. Raise NotCompilable if it needs an escape."""
    if dump(name).decode("utf-8", "replace") != f'"{name}"' or not plain_text(name):
        raise NotCompilable("an attribute name that is escaped")
    return f'"{name}"'


def _printer_of(*types: type[ast.Node]) -> Callable[[_Printer], _Printer]:
    """Register the function that prints expressions of these types."""
    return registering(_PRINTERS, types)


# ---- constants and terms


def _constant(c: Compilation, term: ConstantTerm) -> Printed:
    if isinstance(term, BoundTerm) and term.kind in _SCALARS:
        return Printed(c.parameters.constant(term, "text", _dumped, "printed"), flat=True)
    if isinstance(term, BoundTerm) and term.kind in ("array", "object"):  # whatever jsonb does not hold, it refuses
        return Printed(c.parameters.constant(term, "text", _dumped, "printed"), flat=term.kind == "array")
    text = _dumped(term.value)
    if to_jsonb(b'{"v":%s}' % text.encode()) is not None:
        raise NotCompilable("text that jsonb does not hold")
    return Printed(c.parameters.add(text, "text"), flat=not isinstance(term.value, dict))


def _dumped(value: Any) -> str:
    return dump(value).decode()


def _of_term(c: Compilation, term: AnyTerm) -> Printed:
    """Print what SQL computes."""
    if isinstance(term, ConstantTerm):
        return _constant(c, term)
    if term.kind == "json":
        return Printed(f"_crossfade.printed({term.sql})", flat=term.scalar)
    number = term.sql if term.kind == "number" else None
    return Printed(_FORMS[term.kind].format(term.sql), flat=True, number=number)


_FORMS: Final = {
    "bool": "(CASE WHEN {} THEN 'true' ELSE 'false' END)",
    "int": "({})::text",
    "number": "_crossfade.printed_number({})",
    "text": "_crossfade.printed_text({})",
}


# ---- parts of documents


@_printer_of(ast.Attribute, ast.BoundAttribute)
def attribute(c: Compilation, node: ast.Attribute | ast.BoundAttribute) -> Printed:
    """Copy an attribute from the text of its document."""
    place = _place(c, node)
    if place is None:
        return _of_term(c, c.term(node))
    raw, names, stored = place
    steps = "".join(f" -> {c.parameters.name(name)}" for name in names)
    return Printed(f"coalesce(({raw}{steps})::text, 'null')", flat=stored and names in (["_key"], ["_rev"]))


def _place(c: Compilation, node: ast.Expr) -> tuple[str, list[str], bool] | None:
    """Return the text, the path, and whether it is that of a document, of `doc.a.b`; None for any other expression."""
    names: list[str] = []
    scope: VariableScope = c.scope
    while True:
        if isinstance(node, ast.Attribute):
            names.insert(0, node.name)
            node = node.base
        elif isinstance(node, ast.BoundAttribute):
            try:
                names[:0] = bound_path(node.parameter.name, c.binds.get(node.parameter.name))
            except ArangoError as error:
                raise NotCompilable(str(error)) from None
            node = node.base
        elif isinstance(node, ast.Variable):
            var = scope.find(node.name)
            if isinstance(var, DocumentVar | ElementVar) and _text_of(var) and all(map(plain_text, names)):
                return _text_of(var), names, isinstance(var, DocumentVar)
            if not isinstance(var, AliasVar):
                return None
            node, scope = var.expression, var.scope
        else:
            return None


@_printer_of(ast.Variable)
def variable(c: Compilation, node: ast.Variable) -> Printed:
    """Print a whole document, or the expression that a variable stands for."""
    var = c.find(node.name)
    if isinstance(var, DocumentVar | ElementVar) and _text_of(var):
        return Printed(f"coalesce({_text_of(var)}::text, 'null')", flat=False)
    if isinstance(var, AliasVar):
        with c.in_scope(var.scope):
            return printed(c, var.expression)
    return _of_term(c, c.term(node))


def _text_of(var: DocumentVar | ElementVar) -> str:
    """Return SQL of the json of a variable; empty if there is none."""
    return var.raw if isinstance(var, DocumentVar) else var.text


# ---- what chooses among values, or puts them together


@_printer_of(ast.Passthru)
def passthru(c: Compilation, node: ast.Passthru) -> Printed:
    """Print parentheses round an expansion."""
    return printed(c, node.inner)


@_printer_of(ast.Ternary)
def ternary(c: Compilation, node: ast.Ternary) -> Printed:
    """Print a ? b : c and a ?: c."""
    then = node.condition if node.then is None else node.then
    if c.is_constant(node.condition):
        return printed(c, then if truthy(c.folded(node.condition).value) else node.otherwise)
    return _chosen(c.condition(node.condition), printed(c, then), printed(c, node.otherwise))


@_printer_of(ast.Logical)
def logical(c: Compilation, node: ast.Logical) -> Printed:
    """Print AND and OR, whose value is one of the operands."""
    result = printed(c, node.operands[-1])
    for operand in reversed(node.operands[:-1]):
        value = printed(c, operand)
        then, otherwise = (value, result) if node.op == "OR" else (result, value)
        result = _chosen(c.condition(operand), then, otherwise)
    return result


def _chosen(condition: str, then: Printed, otherwise: Printed) -> Printed:
    sql = f"(CASE WHEN {condition} THEN {then.sql} ELSE {otherwise.sql} END)"
    return Printed(sql, then.flat and otherwise.flat)


@_printer_of(ast.Array)
def array(c: Compilation, node: ast.Array) -> Printed:
    """Print [a, b, …]."""
    items = " || ',' || ".join(printed(c, item).sql for item in node.items)
    return Printed(f"('[' || {items} || ']')", flat=True)


@_printer_of(ast.Object)
def object_literal(c: Compilation, node: ast.Object) -> Printed:
    """Print {a: b, …} whose attribute names are constants."""
    return Printed(f"('{{' || {members(c, attributes(c, node))} || '}}')", flat=False)


def attributes(c: Compilation, node: ast.Object) -> dict[str, Printed]:
    """Return the attributes of an object literal, in their order. Raise NotCompilable."""
    found: dict[str, Printed] = {}
    for item in written(node):
        name = attribute_name(c, item)
        if name not in found:
            found[name] = printed(c, item.value)
    return found


def members(c: Compilation, values: Mapping[str, Printed]) -> str:
    """Return SQL of the text between the braces of an object."""
    texts = [f"{c.parameters.add(json_name(name) + ':', 'text')} || {value.sql}" for name, value in values.items()]
    return " || ',' || ".join(texts)


@_printer_of(ast.Call)
def call(c: Compilation, node: ast.Call) -> Printed:
    """Print NOT_NULL, whose value is one of the arguments; other calls as SQL computes them."""
    if node.name != "NOT_NULL":
        return _of_term(c, c.term(node))
    values = [printed(c, argument) for argument in node.arguments]
    texts = [f"nullif({value.sql}, 'null')" for value in values]
    return Printed(f"coalesce({', '.join(texts)}, 'null')", all(value.flat for value in values))
