"""Checks of what ArangoDB's grammar accepts and ArangoDB refuses: functions, aggregates, options, use after a write.

A collection that was written must not be accessed again, neither read nor written, in a subquery or not. After any
modification there must be no traversal and no function that reads documents (1579).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from proxy.aql import ast
from proxy.aql.aggregates import AGGREGATES
from proxy.aql.functions import FUNCTIONS
from proxy.aql.lexer import position
from proxy.aql.signatures import FETCHING, RANDOM
from proxy.aql.trees import is_collection
from proxy.base.errors import ArangoError

_MODIFICATIONS = (ast.Insert, ast.UpdateOrReplace, ast.Remove, ast.Upsert)
_NOT_FOLDED = RANDOM | {"NOOPT"}  # calls that are not constants even if their arguments are


@dataclass(frozen=True, slots=True)
class Access:
    """One access of a query.

    name: the collection, or `@` and the name of the bind variable that names it; without `collection`, a description of
    what reads documents.
    """

    name: str
    write: bool = False
    collection: bool = True


def check(query: ast.Query) -> None:
    """Raise ArangoError 1540 (unknown function), 1541 (number of arguments), 1574 (aggregate) or 1575 (options)."""
    aggregating: set[int] = set()
    for node in ast.walk(query):
        if isinstance(node, (ast.Collect, ast.Window)):
            for assign in node.aggregates:
                if not isinstance(assign.value, ast.Call) or assign.value.name not in AGGREGATES:
                    raise ArangoError(1574, "AQL: unknown aggregate function used (while parsing)")
                aggregating.add(id(assign.value))
        elif isinstance(node, _MODIFICATIONS) and node.options is not None:
            _check_options(node.options)
    for node in ast.walk(query):
        if isinstance(node, ast.Call):
            _check_call(node, query.text, aggregating=id(node) in aggregating)


def _check_options(options: ast.Object) -> None:
    for node in ast.walk(options):
        if isinstance(node, (ast.Variable, ast.Subquery)) or (isinstance(node, ast.Call) and node.name in _NOT_FOLDED):
            raise ArangoError(1575, "AQL: query options must be readable at query compile time (while parsing)")


def _check_call(call: ast.Call, text: str, *, aggregating: bool) -> None:
    if "::" in call.name:
        return  # a user function, whose arguments only the server knows
    signature = FUNCTIONS.get(call.name)
    line, column = position(text, call.at)
    where = f"near '{text[call.at : call.at + 32]}' at position {line}:{column} (while parsing)"
    if signature is None:
        if aggregating:
            return
        raise ArangoError(1540, f"AQL: usage of unknown function '{call.name}()' {where}")
    count = len(call.arguments)
    if aggregating and count <= 1:
        return  # in AGGREGATE, COUNT() takes none and PUSH one
    if count < signature.least or (signature.most is not None and count > signature.most):
        most = "unlimited" if signature.most is None else signature.most
        raise ArangoError(
            1541,
            f"AQL: invalid number of arguments for function '{call.name}()', expected number of arguments: "
            f"minimum: {signature.least}, maximum: {most} {where}",
        )


def _events(node: ast.Node) -> Iterator[ast.Node]:
    """Yield nodes in the order in which ArangoDB checks them: the parts of a modification or loop come before it."""
    if isinstance(node, _MODIFICATIONS):
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


def collection_name(node: ast.Collection | ast.Parameter) -> str:
    """Return the name of a collection, or `@` and the name of the bind variable that names it."""
    return node.name if isinstance(node, ast.Collection) else f"@{node.name}"


def accesses(query: ast.Query) -> tuple[Access, ...]:
    """Return the accesses of a query that modifies, in order; none for a query that does not."""
    if not any(isinstance(node, _MODIFICATIONS) for node in ast.walk(query)):
        return ()
    found: list[Access] = []
    for node in _events(query):
        if isinstance(node, _MODIFICATIONS):
            found.append(Access(collection_name(node.collection), write=True))
        elif isinstance(node, ast.For):
            if isinstance(node.source, (ast.Collection, ast.Parameter)):
                found.append(Access(collection_name(node.source)))
        elif isinstance(node, (ast.Traversal, ast.Paths)):
            found.append(Access("traversal", collection=False))
        elif isinstance(node, ast.Call) and (
            node.name in FETCHING
            or (node.name in ("LENGTH", "COUNT") and node.arguments and is_collection(node.arguments[0]))
        ):
            found.append(Access(f"function {node.name}", collection=False))
    return tuple(found)


def check_accesses(found: tuple[Access, ...], names: Mapping[str, str]) -> None:
    """Raise ArangoError 1579 for an access after a write. names: the collections that bind variables name."""
    written: set[str] = set()
    for access in found:
        name = names.get(access.name, access.name)
        if written and (not access.collection or name in written):
            raise ArangoError(1579, f"AQL: access after data-modification by {name} (while parsing)")
        if access.write:
            written.add(name)
