"""AQL's values: type order, comparison, equality, truth, conversion to numbers (semantics page, sections 2 to 4).

Values are plain JSON values of Python. An integral double is kept as an int where ArangoDB would print it without
exponent, so that results print as ArangoDB prints them. All functions are total: no value makes them fail.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Iterable
from typing import Any, TypeAlias

from proxy.aql.collation import sort_key

Value: TypeAlias = Any  # None | bool | int | float | str | list[Value] | dict[str, Value]
Number: TypeAlias = int | float

NULL, BOOL, NUMBER, STRING, ARRAY, OBJECT = range(6)
_RANKS: dict[type, int] = {
    type(None): NULL,
    bool: BOOL,
    int: NUMBER,
    float: NUMBER,
    str: STRING,
    list: ARRAY,
    dict: OBJECT,
}
TYPE_NAMES = ("null", "bool", "number", "string", "array", "object")
_NUMERIC = re.compile(r"[ \t\r\n\f\v]*[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?[ \t\r\n\f\v]*")
_LEADING = re.compile(r"[ \t\r\n\f\v]*([-+]?[0-9]+)")
_EXACT = 1 << 53


def rank(value: Value) -> int:
    """Return the rank of its type: null < bool < number < string < array < object."""
    return _RANKS[value.__class__]


def truthy(value: Value) -> bool:
    """Return False for null, false, 0 and "" only: [] and {} are true."""
    if value.__class__ is bool:
        return bool(value)
    return bool(value) or value.__class__ is list or value.__class__ is dict


def equal(a: Value, b: Value) -> bool:
    """Evaluate ==: no casts, 1 == 1.0, strings by bytes, a missing element or attribute is null."""
    kind = a.__class__
    if kind is b.__class__:
        if kind is list:
            return _equal_lists(a, b)
        if kind is dict:
            return _equal_objects(a, b)
        return bool(a == b)
    if (kind is int and b.__class__ is float) or (kind is float and b.__class__ is int):
        return bool(a == b)
    return False


def _equal_lists(a: list[Value], b: list[Value]) -> bool:
    if len(a) < len(b):
        a, b = b, a
    return all(map(equal, a, b)) and all(value is None for value in a[len(b) :])


def _equal_objects(a: dict[str, Value], b: dict[str, Value]) -> bool:
    for name, value in a.items():
        if not equal(value, b.get(name)):
            return False
    return all(value is None for name, value in b.items() if name not in a)


class ObjectOrder:
    """The order of objects: attribute by attribute in the order of their names; a missing one is null."""

    __slots__ = ("entries",)

    def __init__(self, value: dict[str, Value]) -> None:
        self.entries = {name: order_key(item) for name, item in value.items() if item is not None}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ObjectOrder) and self.entries == other.entries

    def __hash__(self) -> int:
        return hash(frozenset(self.entries.items()))

    def __lt__(self, other: ObjectOrder) -> bool:
        for name in sorted(self.entries.keys() | other.entries.keys(), key=sort_key):
            mine, theirs = self.entries.get(name, _NULL_KEY), other.entries.get(name, _NULL_KEY)
            if mine != theirs:
                return mine < theirs
        return False


OrderKey: TypeAlias = tuple[Any, ...]
_NULL_KEY: OrderKey = (NULL,)


def order_key(value: Value) -> OrderKey:
    """Return a tuple that orders any two values as ArangoDB does, as a key of Python's sort."""
    kind = value.__class__
    if kind is str:
        return (STRING, sort_key(value))
    if value is None:
        return _NULL_KEY
    if kind is int or kind is float:
        return (NUMBER, value)
    if kind is bool:
        return (BOOL, value)
    if kind is list:
        end = len(value)
        while end and value[end - 1] is None:  # [1] == [1, null]
            end -= 1
        return (ARRAY, tuple([order_key(item) for item in value[:end]]))
    return (OBJECT, ObjectOrder(value))


def less(a: Value, b: Value) -> bool:
    """Evaluate a < b in the order of all types."""
    kind = a.__class__
    if kind is b.__class__:
        if kind is str:
            return a != b and sort_key(a) < sort_key(b)
        if kind is int or kind is float:
            return bool(a < b)
    return order_key(a) < order_key(b)


def compare(a: Value, b: Value) -> int:
    """Compare two values: -1, 0 or 1."""
    if equal(a, b):
        return 0
    return -1 if less(a, b) else 1


def hash_key(value: Value) -> Hashable:
    """Return a hashable that is equal for equal values only."""
    kind = value.__class__
    if kind is bool:
        return (BOOL, value)
    if kind is list:
        end = len(value)
        while end and value[end - 1] is None:
            end -= 1
        return (ARRAY, tuple([hash_key(item) for item in value[:end]]))
    if kind is dict:
        return (OBJECT, frozenset([(name, hash_key(item)) for name, item in value.items() if item is not None]))
    return value  # type: ignore[no-any-return]


def unique(values: Iterable[Value]) -> list[Value]:
    """Return the values without repetition, in order of first appearance."""
    seen: dict[Hashable, Value] = {}
    for value in values:
        seen.setdefault(hash_key(value), value)
    return list(seen.values())


def contains(array: Value, value: Value) -> bool:
    """Evaluate IN: deep equality with an element; false if the right operand is not an array."""
    if array.__class__ is not list:
        return False
    if value.__class__ is str:
        return value in array  # a string equals only strings
    return any(equal(value, item) for item in array)


def to_number(value: Value) -> Number:
    """Convert a value to a number as arithmetic does (AqlValue::toDouble)."""
    kind = value.__class__
    if kind is int or kind is float:
        return value  # type: ignore[no-any-return]
    if kind is bool:
        return int(value)
    if kind is str:
        return parse_number(value)
    if kind is list and len(value) == 1:
        return to_number(value[0])
    return 0


def parse_number(text: str) -> Number:
    """Return the number that the whole text is, with blanks round it allowed; else 0."""
    if not text or not _NUMERIC.fullmatch(text):
        return 0
    clean = text.strip()
    if clean.lstrip("+-").isdigit() and len(clean) < 20:
        value = int(clean)
        if -(1 << 63) <= value < 1 << 63:
            return value
    return double(float(clean)) or 0


def double(value: float) -> Number | None:
    """Return a result of arithmetic: null if it is not finite, an int if it prints as one."""
    if value.__class__ is int:
        return value
    if not math.isfinite(value):
        return None
    if value.is_integer():
        whole = int(value)
        if -_EXACT < whole < _EXACT:
            return whole if plain(whole) else value
    return value


def plain(whole: int) -> bool:
    """Return True if ArangoDB prints a double of this value without exponent: fewer than 7 zeros after its digits."""
    if -100_000_000 < whole < 100_000_000:
        return True
    digits = str(abs(whole))
    significant = len(digits.rstrip("0"))
    return len(digits) - 1 < significant + 7


def to_integer(value: Value) -> int:
    """Convert a value to an integer of 64 bits (AqlValue::toInt64).

    Numbers are truncated; a text is the integer that it begins with, or 0 if that has too many digits.
    """
    kind = value.__class__
    if kind is str:
        found = _LEADING.match(value)
        leading = int(found[1]) if found and len(found[1]) < 30 else 0
        return leading if -(1 << 63) <= leading < 1 << 63 else 0
    if kind is list and len(value) == 1:
        return to_integer(value[0])
    number = to_number(value)
    if number.__class__ is float:
        if not math.isfinite(number):
            return 0
        number = int(number)
    return max(-(1 << 63), min((1 << 63) - 1, int(number)))


def type_name(value: Value) -> str:
    """Return null, bool, number, string, array or object."""
    return TYPE_NAMES[rank(value)]
