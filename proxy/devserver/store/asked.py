"""What requests ask for, read in the type that a handler wants: parameters are text, attributes are any JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from proxy.base.errors import ArangoError

_LARGEST: Final = 1 << 63


def whole(body: Mapping[str, Any], name: str, default: int, *, zero: bool = False) -> int:
    """A whole number of an object; absent and null are the default, and zero unless `zero`. Raises ArangoError 10."""
    value = body.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not -_LARGEST <= value < _LARGEST:
        raise ArangoError(10, f"expecting a number for '{name}'")
    return int(value) if zero else int(value) or default


def number(params: Mapping[str, str], name: str, default: int) -> int:
    """A whole number of the query string; nothing is the default. Raises ArangoError 10."""
    text = params.get(name)
    if not text:
        return default
    if not text.removeprefix("-").isdecimal() or not text.isascii() or len(text) > 19:
        raise ArangoError(10, f"invalid value for '{name}'")
    return int(text)
