"""Questions about parts of a tree that several modules ask."""

from __future__ import annotations

from collections.abc import Iterator

from proxy.aql import ast


def is_collection(node: ast.Node | None) -> bool:
    """Return True if an expression names a collection."""
    return isinstance(node, ast.Collection) or (isinstance(node, ast.Parameter) and node.source)


def conjuncts(node: ast.Expr) -> Iterator[ast.Expr]:
    """Yield the operands of a chain of AND; of any other expression, the expression."""
    if isinstance(node, ast.Logical) and node.op == "AND":
        for operand in node.operands:
            yield from conjuncts(operand)
    else:
        yield node


def pattern_names(pattern: ast.Pattern | None) -> Iterator[str]:
    """Yield the variables that a pattern binds."""
    if isinstance(pattern, str):
        yield pattern
    elif pattern is not None:
        for target in pattern.targets:
            yield from pattern_names(target)


def written(node: ast.Object) -> tuple[ast.Item, ...]:
    """Return the items of an object literal with each fixed name once: the last value of a name, at its first place.

    If a computed name equals another name, the first one wins when the object is built.
    """
    items: dict[object, ast.Item] = {}
    for item in node.items:
        items[id(item) if item.name is None else item.name] = item
    return tuple(items.values())
