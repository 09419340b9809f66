"""Attributes of JSON objects that clients send, read in the type that is needed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from proxy.base.errors import ArangoError

_LARGEST: Final = 1 << 63


def whole(body: Mapping[str, Any], name: str, default: int, *, zero: bool = False) -> int:
    """Return a whole number. Absent and null are the default, and so is 0 unless `zero`. Raise ArangoError 10."""
    value = body.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not -_LARGEST <= value < _LARGEST:
        raise ArangoError(10, f"expecting a number for '{name}'")
    return int(value) if zero else int(value) or default
