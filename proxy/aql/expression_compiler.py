"""Expressions -> Python closures over a frame, compiled once a run.

A frame is a list of slots, one for each variable name of the query (names in scope are distinct, so a slot can serve
several scopes one after the other). A compiled expression is either a plain function of the frame, or, where it has to
ask the store, a `Stepwise` whose generator yields requests. A strict node with stepwise operands evaluates these into
slots of their own first and then runs as a plain function; only lazy nodes are written twice.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from operator import itemgetter
from typing import Any

from proxy.aql import ast
from proxy.aql.access import access, attribute_of, bound_path, chain, index_of
from proxy.aql.analyse import source_name
from proxy.aql.arrays import array_test, expand, quantified
from proxy.aql.compiled_types import Compiled, Constant, Frame, Plain, Stepwise
from proxy.aql.functions import find
from proxy.aql.operators import ARITHMETIC, binary, constant_arithmetic, range_array, unary
from proxy.aql.printing import to_string
from proxy.aql.query_context import Context
from proxy.aql.requests import Request
from proxy.aql.signatures import FETCHING, TAKES_COLLECTION, UNFOLDED, UNSUPPORTED
from proxy.aql.values import Value, truthy
from proxy.base.errors import ArangoError, Unsupported


class ExpressionCompiler:
    """Compiles expressions; the statements' compiler derives from it."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.slots: dict[str, int] = {}
        self.constants: dict[
            str, Constant
        ] = {}  # variables that LET gives a constant, until their names are taken again
        self.size = 0
        self.pending: list[tuple[int, Stepwise]] = []
        self.currents: list[int] = []  # slots of CURRENT, innermost last

    # --- slots

    def slot(self, name: str) -> int:
        """The slot of a variable that is about to be bound."""
        self.constants.pop(name, None)
        found = self.slots.get(name)
        if found is None:
            found = self.slots[name] = self.temporary()
        return found

    def temporary(self) -> int:
        """A slot without a name."""
        self.size += 1
        return self.size - 1

    # --- the two ways to compile

    def expression(self, node: ast.Expr) -> Compiled:
        """A plain function where possible."""
        outer, self.pending = self.pending, []
        compiled = _METHODS[node.__class__](self, node)
        pending, self.pending = self.pending, outer
        if not pending:
            return compiled
        assert not isinstance(compiled, Stepwise)
        return Stepwise(_after(pending, compiled))

    def operand(self, node: ast.Expr) -> Plain:
        """An operand of a strict node: if it is stepwise it is evaluated beforehand, into a slot."""
        compiled = self.expression(node)
        if isinstance(compiled, Stepwise):
            slot = self.temporary()
            self.pending.append((slot, compiled))
            return itemgetter(slot)
        return compiled

    # --- leaves

    def literal(self, node: ast.Literal) -> Compiled:
        return Constant(node.value)

    def parameter(self, node: ast.Parameter) -> Compiled:
        if node.source:
            return self.collection(ast.Collection(source_name(self.context.binds, node.name), node.at))
        return Constant(self.context.binds[node.name])

    def variable(self, node: ast.Variable) -> Compiled:
        if node.name == "CURRENT" and self.currents:
            return itemgetter(self.currents[-1])
        return self.constants.get(node.name) or itemgetter(self.slot(node.name))

    def collection(self, node: ast.Collection) -> Compiled:
        raise ArangoError(1568, f"AQL: collection '{node.name}' used as expression operand (while parsing)", status=400)

    # --- accesses

    def attribute(self, node: ast.Attribute) -> Compiled:
        names = [node.name]
        base = node.base
        while isinstance(base, ast.Attribute):
            names.append(base.name)
            base = base.base
        inner = self.operand(base)
        names.reverse()
        return attribute_of(inner, names[0]) if len(names) == 1 else chain(inner, tuple(names))

    def bound_attribute(self, node: ast.BoundAttribute) -> Compiled:
        inner = self.operand(node.base)
        value = self.context.binds.get(node.parameter.name)
        return chain(inner, bound_path(node.parameter.name, value))

    def index(self, node: ast.Index) -> Compiled:
        base, index = self.operand(node.base), self.operand(node.index)
        if isinstance(index, Constant):
            return index_of(base, index.value)
        return lambda frame: access(base(frame), index(frame))

    def passthru(self, node: ast.Passthru) -> Compiled:
        return self.operand(node.inner)

    # --- operators

    def unary(self, node: ast.Unary) -> Compiled:
        operand = self.operand(node.operand)
        compiled = unary(node.op, operand)
        return Constant(compiled([])) if isinstance(operand, Constant) else compiled

    def binary(self, node: ast.Binary) -> Compiled:
        left, right = self.operand(node.left), self.operand(node.right)
        if isinstance(left, Constant) and isinstance(right, Constant) and node.op in ARITHMETIC:
            return Constant(constant_arithmetic(self.context, node.op, left.value, right.value))
        return binary(self.context, node.op, left, right)

    def range(self, node: ast.Range) -> Compiled:
        low, high = self.operand(node.low), self.operand(node.high)
        context = self.context
        return lambda frame: range_array(context, low(frame), high(frame))

    def quantified(self, node: ast.Quantified) -> Compiled:
        amount = self.operand(node.amount) if node.amount is not None else None
        left, right = self.operand(node.left), self.operand(node.right)
        return quantified(node.quantifier, amount, node.op, left, right)

    def logical(self, node: ast.Logical) -> Compiled:
        wanted = node.op == "OR"  # the truth that ends it
        parts = [self.expression(operand) for operand in node.operands]
        plain = [part for part in parts if not isinstance(part, Stepwise)]
        if len(plain) < len(parts):

            def steps(frame: Frame) -> Generator[Request, None, Value]:
                value: Value = None
                for part in parts:
                    value = (yield from part.steps(frame)) if isinstance(part, Stepwise) else part(frame)
                    if truthy(value) is wanted:
                        return value
                return value

            return Stepwise(steps)
        if len(plain) == 2:
            first, second = plain

            def pair(frame: Frame) -> Value:
                value = first(frame)
                return value if truthy(value) is wanted else second(frame)

            return pair

        def evaluate(frame: Frame) -> Value:
            value: Value = None
            for part in plain:
                value = part(frame)
                if truthy(value) is wanted:
                    return value
            return value

        return evaluate

    def ternary(self, node: ast.Ternary) -> Compiled:
        condition = self.expression(node.condition)
        then = condition if node.then is None else self.expression(node.then)
        otherwise = self.expression(node.otherwise)
        short = node.then is None
        if isinstance(condition, Stepwise) or isinstance(then, Stepwise) or isinstance(otherwise, Stepwise):

            def steps(frame: Frame) -> Generator[Request, None, Value]:
                value = (yield from condition.steps(frame)) if isinstance(condition, Stepwise) else condition(frame)
                if short and truthy(value):
                    return value
                chosen = then if truthy(value) else otherwise
                return (yield from chosen.steps(frame)) if isinstance(chosen, Stepwise) else chosen(frame)

            return Stepwise(steps)
        test, first, second = condition, then, otherwise
        if short:

            def either(frame: Frame) -> Value:
                value = test(frame)
                return value if truthy(value) else second(frame)

            return either
        return lambda frame: first(frame) if truthy(test(frame)) else second(frame)

    # --- arrays and objects

    def array(self, node: ast.Array) -> Compiled:
        items = [self.operand(item) for item in node.items]
        if all(isinstance(item, Constant) for item in items):
            values = [item([]) for item in items]
            return Constant(values)
        return lambda frame: [item(frame) for item in items]

    def object(self, node: ast.Object) -> Compiled:
        names: list[str | Plain] = []
        values: list[Plain] = []
        for item in ast.written(node):
            names.append(item.name if item.computed is None else self.operand(item.computed))  # type: ignore[arg-type]
            values.append(self.operand(item.value))
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

    def expansion(self, node: ast.Expansion) -> Compiled:
        base = self.operand(node.base)
        slot = self.temporary()
        offset = self.operand(node.offset) if node.offset is not None else None
        count = self.operand(node.count) if node.count is not None else None
        self.currents.append(slot)
        condition = self.expression(node.condition) if node.condition is not None else None
        result = self.expression(node.result if node.result is not None else node.each)
        self.currents.pop()
        return expand(base, slot, node.levels, condition, offset, count, result)

    def array_test(self, node: ast.ArrayTest) -> Compiled:
        base = self.operand(node.base)
        amount = self.operand(node.amount) if node.amount is not None else None
        slot = self.temporary()
        self.currents.append(slot)
        condition = self.expression(node.condition) if node.condition is not None else None
        self.currents.pop()
        return array_test(base, slot, node.levels, node.quantifier, amount, condition)

    # --- calls and subqueries

    def call(self, node: ast.Call) -> Compiled:
        name = node.name
        if "::" in name and self.context.options.no_user_functions:
            raise ArangoError(1582, f"AQL: user function '{name}()' not found (while parsing)")
        if "::" in name:
            raise Unsupported(f"user function {name}")
        if name in UNSUPPORTED:
            raise Unsupported(f"function {name}")
        if name in ("LENGTH", "COUNT") and _is_collection(node.arguments[0]):
            name = "COLLECTION_COUNT"
        if name in TAKES_COLLECTION or name == "COLLECTION_COUNT":
            arguments = [self.collection_or_value(argument) for argument in node.arguments]
        else:
            arguments = [self.operand(argument) for argument in node.arguments]
        if name in FETCHING:
            return Stepwise(self.fetching(name, arguments))
        function = find(name)
        context = self.context
        if name not in UNFOLDED and all(isinstance(argument, Constant) for argument in arguments):
            return Constant(function(context, *[argument([]) for argument in arguments]))
        if len(arguments) == 1:
            only = arguments[0]
            return lambda frame: function(context, only(frame))
        if len(arguments) == 2:
            first, second = arguments
            return lambda frame: function(context, first(frame), second(frame))
        return lambda frame: function(context, *[argument(frame) for argument in arguments])

    def collection_or_value(self, node: ast.Expr) -> Plain:
        """An argument that may be a collection: its name then."""
        if isinstance(node, ast.Collection):
            return Constant(node.name)
        if isinstance(node, ast.Parameter) and node.source:
            return Constant(source_name(self.context.binds, node.name))
        return self.operand(node)

    def fetching(self, name: str, arguments: list[Plain]) -> Callable[[Frame], Generator[Request, None, Value]]:
        """A function that reads documents."""
        raise NotImplementedError

    def subquery(self, node: ast.Subquery) -> Compiled:
        """An array of the rows of a query."""
        raise NotImplementedError


def _is_collection(node: ast.Expr) -> bool:
    return isinstance(node, ast.Collection) or (isinstance(node, ast.Parameter) and node.source)


def _after(pending: list[tuple[int, Stepwise]], compiled: Plain) -> Callable[[Frame], Generator[Request, None, Value]]:
    def steps(frame: Frame) -> Generator[Request, None, Value]:
        for slot, part in pending:
            frame[slot] = yield from part.steps(frame)
        return compiled(frame)

    return steps


_METHODS: dict[type, Callable[[Any, Any], Compiled]] = {
    ast.Literal: ExpressionCompiler.literal,
    ast.Parameter: ExpressionCompiler.parameter,
    ast.Variable: ExpressionCompiler.variable,
    ast.Collection: ExpressionCompiler.collection,
    ast.Attribute: ExpressionCompiler.attribute,
    ast.BoundAttribute: ExpressionCompiler.bound_attribute,
    ast.Index: ExpressionCompiler.index,
    ast.Expansion: ExpressionCompiler.expansion,
    ast.ArrayTest: ExpressionCompiler.array_test,
    ast.Passthru: ExpressionCompiler.passthru,
    ast.Unary: ExpressionCompiler.unary,
    ast.Binary: ExpressionCompiler.binary,
    ast.Logical: ExpressionCompiler.logical,
    ast.Quantified: ExpressionCompiler.quantified,
    ast.Range: ExpressionCompiler.range,
    ast.Ternary: ExpressionCompiler.ternary,
    ast.Call: ExpressionCompiler.call,
    ast.Array: ExpressionCompiler.array,
    ast.Object: ExpressionCompiler.object,
    ast.Subquery: lambda self, node: self.subquery(node),
}
