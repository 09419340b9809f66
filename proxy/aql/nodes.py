"""The base class of the tree's nodes, its leaves, and iteration over a tree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Node:
    """The base of all nodes."""


@dataclass(frozen=True, slots=True)
class Literal(Node):
    """null, a bool, a number or a string."""

    value: bool | int | float | str | None


@dataclass(frozen=True, slots=True)
class Parameter(Node):
    """@name; with `source` @@name, whose bind variable is called "@name" (and so is `name` here)."""

    name: str
    source: bool = False


@dataclass(frozen=True, slots=True)
class Variable(Node):
    """A reference to a variable; OLD, NEW and CURRENT are in upper case."""

    name: str


@dataclass(frozen=True, slots=True)
class CollectionName(Node):
    """A collection or view, by name."""

    name: str


_FIELDS: dict[type, tuple[str, ...]] = {}


def children(node: Node) -> Iterator[Node]:
    """Yield the nodes directly below, in the order in which they are written."""
    names = _FIELDS.get(node.__class__)
    if names is None:
        names = _FIELDS[node.__class__] = tuple(f.name for f in fields(node) if f.compare)
    for name in names:
        value = getattr(node, name)
        if isinstance(value, Node):
            yield value
        elif isinstance(value, tuple):
            for item in value:
                if isinstance(item, Node):
                    yield item


def walk(node: Node) -> Iterator[Node]:
    """Yield the node and all nodes below it, parents first."""
    stack: list[Node] = [node]
    while stack:
        current = stack.pop()
        yield current
        stack.extend(reversed(tuple(children(current))))
