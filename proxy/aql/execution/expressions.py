"""Expressions as closures over a frame."""

from __future__ import annotations

from collections.abc import Generator
from operator import itemgetter

from proxy.aql import ast
from proxy.aql.access import access, attribute_of, bound_path, chain, index_of
from proxy.aql.analyse import source_name
from proxy.aql.arrays import array_test, expand, quantified
from proxy.aql.compiled_types import Compiled, Constant, Frame, Plain, Stepwise
from proxy.aql.execution.compiler import ProgramCompiler, expression_of
from proxy.aql.operators import ARITHMETIC, binary, constant_arithmetic, range_array, unary
from proxy.aql.printing import to_string
from proxy.aql.requests import StoreRequest
from proxy.aql.trees import written
from proxy.aql.values import Value, truthy
from proxy.base.errors import ArangoError

# --- leaves


@expression_of(ast.Literal)
def literal(_c: ProgramCompiler, node: ast.Literal) -> Compiled:
    """Compile a literal."""
    return Constant(node.value)


@expression_of(ast.Parameter)
def parameter(c: ProgramCompiler, node: ast.Parameter) -> Compiled:
    """Compile a bind variable, whose value is known."""
    if node.source:
        return collection(c, ast.Collection(source_name(c.context.binds, node.name)))
    return Constant(c.context.binds[node.name])


@expression_of(ast.Variable)
def variable(c: ProgramCompiler, node: ast.Variable) -> Compiled:
    """Compile a variable."""
    if node.name == "CURRENT" and c.currents:
        return itemgetter(c.currents[-1])
    return c.constants.get(node.name) or itemgetter(c.slot(node.name))


@expression_of(ast.Collection)
def collection(_c: ProgramCompiler, node: ast.Collection) -> Compiled:
    """Refuse a collection as a value."""
    raise ArangoError(1568, f"AQL: collection '{node.name}' used as expression operand (while parsing)", status=400)


# --- accesses


@expression_of(ast.Attribute)
def attribute(c: ProgramCompiler, node: ast.Attribute) -> Compiled:
    """Compile a chain of attributes into one function."""
    names = [node.name]
    base = node.base
    while isinstance(base, ast.Attribute):
        names.append(base.name)
        base = base.base
    inner = c.operand(base)
    names.reverse()
    return attribute_of(inner, names[0]) if len(names) == 1 else chain(inner, tuple(names))


@expression_of(ast.BoundAttribute)
def bound_attribute(c: ProgramCompiler, node: ast.BoundAttribute) -> Compiled:
    """Compile base.@parameter."""
    inner = c.operand(node.base)
    value = c.context.binds.get(node.parameter.name)
    return chain(inner, bound_path(node.parameter.name, value))


@expression_of(ast.Index)
def index(c: ProgramCompiler, node: ast.Index) -> Compiled:
    """Compile base[index]."""
    base, place = c.operand(node.base), c.operand(node.index)
    if isinstance(place, Constant):
        return index_of(base, place.value)
    return lambda frame: access(base(frame), place(frame))


@expression_of(ast.Passthru)
def passthru(c: ProgramCompiler, node: ast.Passthru) -> Compiled:
    """Compile parentheses round an expansion."""
    return c.operand(node.inner)


# --- operators


@expression_of(ast.Unary)
def unary_operator(c: ProgramCompiler, node: ast.Unary) -> Compiled:
    """Compile NOT, - and +."""
    operand = c.operand(node.operand)
    compiled = unary(node.op, operand)
    return Constant(compiled([])) if isinstance(operand, Constant) else compiled


@expression_of(ast.Binary)
def binary_operator(c: ProgramCompiler, node: ast.Binary) -> Compiled:
    """Compile a binary operator; arithmetic of constants is computed now."""
    left, right = c.operand(node.left), c.operand(node.right)
    if isinstance(left, Constant) and isinstance(right, Constant) and node.op in ARITHMETIC:
        return Constant(constant_arithmetic(c.context, node.op, left.value, right.value))
    return binary(c.context, node.op, left, right)


@expression_of(ast.Range)
def range_operator(c: ProgramCompiler, node: ast.Range) -> Compiled:
    """Compile low..high."""
    low, high = c.operand(node.low), c.operand(node.high)
    context = c.context
    return lambda frame: range_array(context, low(frame), high(frame))


@expression_of(ast.Quantified)
def quantified_comparison(c: ProgramCompiler, node: ast.Quantified) -> Compiled:
    """Compile left ALL|ANY|NONE|AT LEAST op right."""
    amount = c.operand(node.amount) if node.amount is not None else None
    left, right = c.operand(node.left), c.operand(node.right)
    return quantified(node.quantifier, amount, node.op, left, right)


@expression_of(ast.Logical)
def logical(c: ProgramCompiler, node: ast.Logical) -> Compiled:
    """Compile AND and OR, which evaluate no operand after the one that decides."""
    wanted = node.op == "OR"  # the truth that ends it
    parts = [c.expression(operand) for operand in node.operands]
    plain = [part for part in parts if not isinstance(part, Stepwise)]
    if len(plain) < len(parts):
        return _logical_steps(parts, wanted=wanted)
    if len(plain) == 2:
        first, second = plain

        def pair(frame: Frame) -> Value:
            value = first(frame)
            return value if truthy(value) is wanted else second(frame)

        return pair

    def several(frame: Frame) -> Value:
        value: Value = None
        for part in plain:
            value = part(frame)
            if truthy(value) is wanted:
                return value
        return value

    return several


def _logical_steps(parts: list[Compiled], *, wanted: bool) -> Stepwise:
    def steps(frame: Frame) -> Generator[StoreRequest, None, Value]:
        value: Value = None
        for part in parts:
            value = (yield from part.steps(frame)) if isinstance(part, Stepwise) else part(frame)
            if truthy(value) is wanted:
                return value
        return value

    return Stepwise(steps)


@expression_of(ast.Ternary)
def ternary(c: ProgramCompiler, node: ast.Ternary) -> Compiled:
    """Compile a ? b : c and a ?: c, which evaluate only the branch that is chosen."""
    condition = c.expression(node.condition)
    then = condition if node.then is None else c.expression(node.then)
    otherwise = c.expression(node.otherwise)
    short = node.then is None
    if isinstance(condition, Stepwise) or isinstance(then, Stepwise) or isinstance(otherwise, Stepwise):
        return _ternary_steps(condition, then, otherwise, short=short)
    test, first, second = condition, then, otherwise
    if short:

        def either(frame: Frame) -> Value:
            value = test(frame)
            return value if truthy(value) else second(frame)

        return either
    return lambda frame: first(frame) if truthy(test(frame)) else second(frame)


def _ternary_steps(condition: Compiled, then: Compiled, otherwise: Compiled, *, short: bool) -> Stepwise:
    def steps(frame: Frame) -> Generator[StoreRequest, None, Value]:
        value = (yield from condition.steps(frame)) if isinstance(condition, Stepwise) else condition(frame)
        if short and truthy(value):
            return value
        chosen = then if truthy(value) else otherwise
        return (yield from chosen.steps(frame)) if isinstance(chosen, Stepwise) else chosen(frame)

    return Stepwise(steps)


# --- arrays and objects


@expression_of(ast.Array)
def array(c: ProgramCompiler, node: ast.Array) -> Compiled:
    """Compile [a, b, …]."""
    items = [c.operand(item) for item in node.items]
    if all(isinstance(item, Constant) for item in items):
        values = [item([]) for item in items]
        return Constant(values)
    return lambda frame: [item(frame) for item in items]


@expression_of(ast.Object)
def object_literal(c: ProgramCompiler, node: ast.Object) -> Compiled:
    """Compile {a: 1, [b]: 2, …}."""
    names: list[str | Plain] = []
    values: list[Plain] = []
    for item in written(node):
        names.append(item.name if item.computed is None else c.operand(item.computed))  # type: ignore[arg-type]
        values.append(c.operand(item.value))
    items = list(zip(names, values, strict=True))
    if all(isinstance(name, str) for name in names):
        return lambda frame: {name: value(frame) for name, value in items}

    def build(frame: Frame) -> Value:
        built: dict[str, Value] = {}
        for name, value in items:
            text = name if isinstance(name, str) else to_string(name(frame))
            if text not in built:
                built[text] = value(frame)
        return built

    return build


@expression_of(ast.Expansion)
def expansion(c: ProgramCompiler, node: ast.Expansion) -> Compiled:
    """Compile base[* FILTER … LIMIT … RETURN …]."""
    base = c.operand(node.base)
    slot = c.temporary()
    offset = c.operand(node.offset) if node.offset is not None else None
    count = c.operand(node.count) if node.count is not None else None
    c.currents.append(slot)
    condition = c.expression(node.condition) if node.condition is not None else None
    result = c.expression(node.result if node.result is not None else node.each)
    c.currents.pop()
    return expand(base, slot, node.levels, condition, offset, count, result)


@expression_of(ast.ArrayTest)
def test_of_array(c: ProgramCompiler, node: ast.ArrayTest) -> Compiled:
    """Compile base[? quantifier FILTER condition]."""
    base = c.operand(node.base)
    amount = c.operand(node.amount) if node.amount is not None else None
    slot = c.temporary()
    c.currents.append(slot)
    condition = c.expression(node.condition) if node.condition is not None else None
    c.currents.pop()
    return array_test(base, slot, node.levels, node.quantifier, amount, condition)
