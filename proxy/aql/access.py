"""Attribute and element access (semantics page, section 5): a missing one is null, without a warning."""

from __future__ import annotations

import math
import re

from proxy.aql.compiled_types import Frame, Plain
from proxy.aql.values import Value
from proxy.base.errors import ArangoError

_INTEGER = re.compile(r"[-+]?\d{1,18}")


def attribute_of(inner: Plain, name: str) -> Plain:
    """Return the function of inner.name."""

    def get(frame: Frame) -> Value:
        value = inner(frame)
        return value.get(name) if value.__class__ is dict else None

    return get


def chain(inner: Plain, names: tuple[str, ...]) -> Plain:
    """Return the function of inner.a.b.c."""

    def get(frame: Frame) -> Value:
        value = inner(frame)
        for name in names:
            if value.__class__ is not dict:
                return None
            value = value.get(name)
        return value

    return get


def bound_path(parameter: str, value: Value) -> tuple[str, ...]:
    """Return the path that `.@parameter` stands for: one name (dots are not split), or an array of names."""
    if isinstance(value, str) and value:
        return (value,)
    if isinstance(value, list) and value and all(isinstance(name, str) and name for name in value):
        return tuple(value)
    raise ArangoError(1553, f"AQL: bind parameter '{parameter}' has an invalid value or type (while parsing)")


def index_of(base: Plain, index: Value) -> Plain:
    """Return the function of base[constant]."""
    if index.__class__ is int:

        def at(frame: Frame) -> Value:
            value = base(frame)
            if value.__class__ is list:
                return value[index] if -len(value) <= index < len(value) else None
            return value.get(str(index)) if value.__class__ is dict else None

        return at
    return lambda frame: access(base(frame), index)


def access(value: Value, index: Value) -> Value:
    """Evaluate value[index]."""
    kind = index.__class__
    if kind is float:
        index = int(index) if math.isfinite(index) else 0
        kind = int
    if value.__class__ is list:
        if kind is str and _INTEGER.fullmatch(index):
            index, kind = int(index), int
        if kind is not int:
            return None
        return value[index] if -len(value) <= index < len(value) else None
    if value.__class__ is dict:
        if kind is str:
            return value.get(index)
        if kind is int:
            return value.get(str(index))
    return None
