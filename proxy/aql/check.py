"""What ArangoDB refuses of a query that its grammar takes: functions, aggregates, access behind a modification."""

from __future__ import annotations

from collections.abc import Iterator

from proxy.aql import ast
from proxy.aql.lexer import position
from proxy.aql.signatures import AGGREGATES, FETCHING, FUNCTIONS, UNSUPPORTED
from proxy.errors import ArangoError


def check(query: ast.Query) -> None:
    """Raises 1540 (unknown function), 1541 (number of arguments), 1574 (aggregate), 1579 (read behind a write)."""
    for node in ast.walk(query):
        if isinstance(node, ast.Call):
            _check_call(node, query.text)
        elif isinstance(node, (ast.Collect, ast.Window)):
            for assign in node.aggregates:
                if not isinstance(assign.value, ast.Call) or assign.value.name not in AGGREGATES:
                    raise ArangoError(1574, "AQL: unknown aggregate function used (while parsing)", status=400)
    _check_access(query)


def _check_call(call: ast.Call, text: str) -> None:
    if "::" in call.name:
        return  # a user function: only the server that has it can tell
    signature = FUNCTIONS.get(call.name)
    line, column = position(text, call.at)
    where = f"near '{text[call.at : call.at + 32]}' at position {line}:{column} (while parsing)"
    if signature is None:
        if call.name in AGGREGATES:
            return
        raise ArangoError(1540, f"AQL: usage of unknown function '{call.name}()' {where}", status=400)
    count = len(call.arguments)
    if call.name in UNSUPPORTED:
        return  # by name alone: what cannot be run need not be counted
    if count < signature.least or (signature.most is not None and count > signature.most):
        if call.name in AGGREGATES and count <= 1:
            return  # COUNT() in AGGREGATE has none
        most = "unlimited" if signature.most is None else signature.most
        raise ArangoError(
            1541,
            f"AQL: invalid number of arguments for function '{call.name}()', expected number of arguments: "
            f"minimum: {signature.least}, maximum: {most} {where}",
            status=400,
        )


def _events(node: ast.Node) -> Iterator[ast.Node]:
    """Nodes in the order in which ArangoDB sees them: what a modification is made of comes before it."""
    if isinstance(node, (ast.Insert, ast.Change, ast.Remove, ast.Upsert)):
        for child in ast.children(node):
            if child is not node.collection:
                yield from _events(child)
        yield node
        return
    if isinstance(node, (ast.For, ast.Traversal, ast.Paths)):
        for child in ast.children(node):
            yield from _events(child)
        yield node
        return
    yield node
    for child in ast.children(node):
        yield from _events(child)


def _check_access(query: ast.Query) -> None:
    if not any(isinstance(node, (ast.Insert, ast.Change, ast.Remove, ast.Upsert)) for node in ast.walk(query)):
        return
    written: set[tuple[bool, str]] = set()
    for node in _events(query):
        if isinstance(node, (ast.Insert, ast.Change, ast.Remove, ast.Upsert)):
            written.add((isinstance(node.collection, ast.Parameter), node.collection.name))
        elif not written:
            continue
        elif isinstance(node, ast.For):
            source = node.source
            name = source.name if isinstance(source, (ast.Collection, ast.Parameter)) else None
            if name is not None and (isinstance(source, ast.Parameter), name) in written:
                _refuse(name)
        elif isinstance(node, (ast.Traversal, ast.Paths)):
            _refuse("traversal")
        elif isinstance(node, ast.Call) and node.name in FETCHING:
            _refuse(f"function {node.name}")


def _refuse(what: str) -> None:
    raise ArangoError(1579, f"AQL: access after data-modification by {what} (while parsing)", status=400)
