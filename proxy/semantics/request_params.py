"""Values of requests, read in the type that a handler needs: parameters, conditional headers, bodies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from proxy.base.errors import ArangoError
from proxy.model.json_values import parse
from proxy.model.operations import Operation

_TRUE: Final = frozenset({"true", "1", "yes", "on", "y"})
_NO_REVISION: Final = "no revision"  # matches nothing: what ArangoDB makes of a header that it cannot read


def flag(params: Mapping[str, str], name: str, *, default: bool = False) -> bool:
    """Return a boolean parameter; clients send `true`, `1` and more."""
    value = params.get(name)
    return default if value is None else value.lower() in _TRUE


def number(params: Mapping[str, str], name: str, default: int) -> int:
    """Return a whole number of the query string; empty is the default. Raise ArangoError 10."""
    text = params.get(name)
    if not text:
        return default
    if not text.removeprefix("-").isdecimal() or not text.isascii() or len(text) > 19:
        raise ArangoError(10, f"invalid value for '{name}'")
    return int(text)


def header_revision(value: str | None) -> str | None:
    """Return the revision of If-Match or If-None-Match. What is not one revision (`*`, lists, `W/`) matches nothing."""
    if value is None:
        return None
    text = value.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1]
    return text if text and not set(text) & set("*,/\" '") else _NO_REVISION


def body_object(operation: Operation) -> dict[str, Any]:
    """Return the body, which must be an object; an empty body is an empty object. Raise ArangoError 600, 10."""
    if not operation.body.strip():
        return {}
    body = parse(operation.body)
    if not isinstance(body, dict):
        raise ArangoError(10, "expecting a JSON object as body")
    return body
