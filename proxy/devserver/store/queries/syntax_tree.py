"""A query's tree as `/_api/query` prints it: with ArangoDB's names of nodes and its order of `subNodes`."""

from __future__ import annotations

from typing import Any, Final

from proxy.aql import ast

Node = dict[str, Any]
_OPERATORS: Final = {
    "+": "plus",
    "-": "minus",
    "*": "times",
    "/": "division",
    "%": "modulus",
    "IN": "compare in",
    "NOT IN": "compare not in",
    **{op: f"compare {op}" for op in ("==", "!=", "<", "<=", ">", ">=")},
}
_UNARY: Final = {"NOT": "unary not", "!": "unary not", "-": "unary minus", "+": "unary plus"}
_FUNCTIONS: Final = {"LIKE": "LIKE", "=~": "REGEX_TEST", "NOT LIKE": "LIKE", "!~": "REGEX_TEST"}


class Printer:
    """Prints one query. Variables are numbered in the order in which they are declared."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._next = 0

    def query(self, query: ast.Query) -> Node:
        nodes = [self._statement(statement) for statement in query.statements]
        if query.with_collections:
            nodes.insert(0, _node("with", *(self._plain(name) for name in query.with_collections)))
        return _node("root", *nodes)

    def _declare(self, name: ast.Pattern) -> Node:
        text = name if isinstance(name, str) else "<pattern>"
        self._numbers[text] = self._next
        self._next += 1
        return {"type": "variable", "name": text, "id": self._numbers[text]}

    def _statement(self, statement: ast.Statement) -> Node:
        match statement:
            case ast.For(variable, source):
                over = self._plain(source)
                return _node("for", self._declare(variable), over, _node("no-op"))
            case ast.Filter(condition):
                return _node("filter", self._plain(condition))
            case ast.Let(target, value):
                shown = self._plain(value)
                return _node("let", self._declare(target), shown)
            case ast.Sort(keys):
                elements = [_node("sort element", self._plain(key.value), self._direction(key)) for key in keys]
                return _node("sort", _node("array", *elements))
            case ast.Limit(offset, count):
                return _node("limit", _value(0) if offset is None else self._plain(offset), self._plain(count))
            case ast.Return(value, distinct):
                shown = self._plain(value)
                return _node("return", _node("distinct", shown) if distinct else shown)
            case ast.Collect(groups):
                values = [self._plain(group.value) for group in groups]
                pairs = zip(groups, values, strict=True)
                assigned = [_node("assign", self._declare(group.name), value) for group, value in pairs]
                return _node("collect", _node("array", *assigned))
            case _:
                return self._plain(statement)

    def _direction(self, key: ast.SortKey) -> Node:
        return _value(key.direction == "ASC") if isinstance(key.direction, str) else self._plain(key.direction)

    def _plain(self, node: ast.Node) -> Node:
        match node:
            case ast.Literal(value):
                return _value(value)
            case ast.Parameter(name, source):
                return {"type": "datasource parameter" if source else "parameter", "name": name}
            case ast.Variable(name):
                number = self._numbers.get(name, -1)
                return {"type": "reference", "name": name, "id": number, "subqueryReference": False}
            case ast.Collection(name):
                return {"type": "collection", "name": name}
            case ast.Attribute(base, name):
                return {"type": "attribute access", "name": name, "subNodes": [self._plain(base)]}
            case ast.Index(base, index):
                return _node("indexed access", self._plain(base), self._plain(index))
            case ast.Call(name, arguments):
                called = _node("array", *(self._plain(argument) for argument in arguments))
                return {"type": "function call", "name": name, "subNodes": [called]}
            case ast.Array(items):
                return _node("array", *(self._plain(item) for item in items))
            case ast.Object(items):
                return _node("object", *(self._item(item) for item in items))
            case ast.Subquery(query):
                return _node("subquery", self.query(query))
            case _:
                return self._operation(node)

    def _operation(self, node: ast.Node) -> Node:
        """Return the node of an operator with its operands, or of a kind whose name ArangoDB shares."""
        match node:
            case ast.Unary(op, operand):
                return _node(_UNARY.get(op, op), self._plain(operand))
            case ast.Binary(op, left, right):
                return self._binary(op, self._plain(left), self._plain(right))
            case ast.Logical(op, operands):
                name = "logical and" if op in ("AND", "&&") else "logical or"
                whole = self._plain(operands[0])
                for operand in operands[1:]:
                    whole = _node(name, whole, self._plain(operand))
                return whole
            case ast.Ternary(condition, then, otherwise):
                parts = [part for part in (condition, then, otherwise) if part is not None]
                return _node("ternary", *(self._plain(part) for part in parts))
            case _:  # a range, too
                return _node(type(node).__name__.lower(), *(self._plain(child) for child in ast.children(node)))

    def _binary(self, op: str, left: Node, right: Node) -> Node:
        function = _FUNCTIONS.get(op)
        if function is None:
            return _node(_OPERATORS.get(op, op), left, right)
        call = {"type": "function call", "name": function, "subNodes": [_node("array", left, right)]}
        return _node("unary not", call) if op in ("NOT LIKE", "!~") else call

    def _item(self, item: ast.Item) -> Node:
        if item.name is not None:
            return {"type": "object element", "name": item.name, "subNodes": [self._plain(item.value)]}
        computed = ast.Literal(None) if item.computed is None else item.computed
        return _node("calculated object element", self._plain(computed), self._plain(item.value))


def _node(kind: str, *below: Node) -> Node:
    return {"type": kind, "subNodes": list(below)} if below else {"type": kind}


def _value(value: Any) -> Node:
    return {"type": "value", "value": value}
