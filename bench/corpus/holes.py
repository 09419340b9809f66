"""Unknown values of a query, and what it requires of each: what a document needs for the query's filters to hold.

A hole is one unknown: an attribute, an element of an array, a bind variable. Holes that the query compares for equality
are merged (union-find); children are attributes of an object, `element` is the item of an array.
"""

from __future__ import annotations

import re
from typing import Any

from proxy.aql import compare, equal

_TESTS = {
    "<": lambda sign: sign < 0,
    "<=": lambda sign: sign <= 0,
    ">": lambda sign: sign > 0,
    ">=": lambda sign: sign >= 0,
}


class Hole:
    """One unknown. kinds: what it is used as; constraints: (operator, constant) that filters require of it."""

    __slots__ = (
        "_same", "children", "constraints", "element", "higher", "key_of", "kinds", "length", "measured", "prefix",
        "source", "tail", "weak",
    )  # fmt: skip

    def __init__(self, *kinds: str) -> None:
        self._same: Hole | None = None
        self.children: dict[str, Hole] = {}
        self.element: Hole | None = None
        self.kinds: set[str] = set(kinds)
        self.constraints: list[tuple[str, Any]] = []
        self.weak: list[Any] = []  # constants that it is compared with outside of filters
        self.length = 1  # of an array or text, at least
        self.measured: Hole | None = None  # this hole is the length of that one
        self.source: Hole | None = None  # the array of whose elements this array is made
        self.key_of: str | None = None  # it is a `_key` in that collection
        self.prefix: str | None = None  # it is the id of a document in that collection …
        self.tail: Hole | None = None  # … with this key
        self.higher: list[Hole] = []  # holes that must be greater

    def root(self) -> Hole:
        """Return the representative of all equal holes."""
        hole = self
        while hole._same is not None:
            hole = hole._same
        return hole

    def child(self, name: str) -> Hole:
        """Return the attribute of that name."""
        root = self.root()
        root.kinds.add("object")
        return root.children.setdefault(name, Hole()).root()

    def item(self) -> Hole:
        """Return the item of the array."""
        root = self.root()
        root.kinds.add("array")
        if root.element is None:
            root.element = Hole()
        return root.element.root()

    def used_as(self, *kinds: str) -> Hole:
        self.root().kinds.update(kinds)
        return self

    def asks(self, operator: str, value: Any) -> None:
        """Add a filter's comparison with a constant."""
        root = self.root()
        if (operator, value) not in root.constraints:
            root.constraints.append((operator, value))

    def join(self, other: Hole) -> None:
        """Merge both as equal."""
        pending = [(self, other)]
        while pending:
            one, two = (hole.root() for hole in pending.pop())
            if one is two:
                continue
            two._same = one
            one.kinds |= two.kinds
            one.constraints += two.constraints
            one.weak += two.weak
            one.higher += two.higher
            one.length = max(one.length, two.length)
            one.key_of = one.key_of or two.key_of
            one.measured = one.measured or two.measured
            one.source = one.source or two.source
            if one.prefix is None:
                one.prefix, one.tail = two.prefix, two.tail
            elif two.tail is not None and one.tail is not None and one.prefix == two.prefix:
                pending.append((one.tail, two.tail))
            for name, child in two.children.items():
                if name in one.children:
                    pending.append((one.children[name], child))
                else:
                    one.children[name] = child
            if two.element is not None:
                if one.element is None:
                    one.element = two.element
                else:
                    pending.append((one.element, two.element))


def holds(operator: str, value: Any, constant: Any) -> bool:
    """Return True if a value fulfils one constraint."""
    if operator == "==":
        return equal(value, constant)
    if operator == "!=":
        return not equal(value, constant)
    if operator == "IN":
        return any(equal(value, item) for item in constant)
    if operator == "NOT IN":
        return not any(equal(value, item) for item in constant)
    if operator == "like":
        pattern = re.escape(constant).replace("%", ".*").replace("_", ".")
        return isinstance(value, str) and re.fullmatch(pattern, value, re.DOTALL | re.IGNORECASE) is not None
    if operator == "match":
        try:
            return isinstance(value, str) and re.search(constant, value) is not None
        except re.error:
            return True
    if operator == "has":
        return isinstance(value, str) and constant in value
    return bool(_TESTS[operator](compare(value, constant)))


def candidates(operator: str, constant: Any) -> list[Any]:
    """Return values that are likely to fulfil a constraint."""
    if operator in ("==", "has"):
        return [constant]
    if operator == "IN":
        return list(constant)
    if operator == "like":
        return [constant.replace("%", "").replace("_", "x")]
    if operator == "match":
        return _matching(constant)
    if operator in ("!=", "NOT IN"):
        return []
    if isinstance(constant, bool) or constant is None:
        return [True, False]
    if isinstance(constant, int | float):
        return [constant, constant + 1, constant - 1] if operator in (">=", "<=") else [constant + 1, constant - 1]
    if isinstance(constant, str):
        return [constant, constant + "0", constant[:-1], ""]
    return [constant]


def _matching(pattern: str) -> list[str]:
    """Return texts that a simple regular expression may match."""
    plain = re.sub(r"\(\?[a-z]+\)", "", pattern)
    plain = re.sub(r"\[\^?([^\]\\]|\\.)[^\]]*\]", r"\1", plain)
    plain = plain.replace("\\d", "7").replace("\\w", "w").replace("\\s", " ").replace(".*", "x").replace(".+", "x")
    plain = re.sub(r"\{\d+(,\d*)?\}|[\^$()+*?]", "", plain)
    plain = re.sub(r"\\(.)", r"\1", plain)
    return [*plain.split("|"), "abc 123", "2024-01-15T10:00:00.000Z", "a@b.example", "x"]
