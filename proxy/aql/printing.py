"""Values as text, as ArangoDB prints them: numbers, JSON, and what string functions make of a value."""

from __future__ import annotations

import json
from typing import Any

from proxy.aql.values import Value
from proxy.model.json_values import number_text as double_text

_quote = json.encoder.encode_basestring  # leaves everything but quotes, backslashes and control characters


def number_text(number: int | float) -> str:
    """Return the digits of a number: an int in full, a double as `proxy.model.json_values` prints it."""
    return str(number) if number.__class__ is int else double_text(number)


def json_text(value: Value) -> str:
    """Return compact JSON."""
    parts: list[str] = []
    _write(value, parts)
    return "".join(parts)


def _write(value: Any, parts: list[str]) -> None:
    kind = value.__class__
    if kind is str:
        parts.append(_quote(value))
    elif value is None:
        parts.append("null")
    elif kind is bool:
        parts.append("true" if value else "false")
    elif kind is list:
        parts.append("[")
        for index, item in enumerate(value):
            if index:
                parts.append(",")
            _write(item, parts)
        parts.append("]")
    elif kind is dict:
        parts.append("{")
        for index, (name, item) in enumerate(value.items()):
            if index:
                parts.append(",")
            parts.append(_quote(name))
            parts.append(":")
            _write(item, parts)
        parts.append("}")
    else:
        parts.append(number_text(value))


def to_string(value: Value) -> str:
    """Convert a value as TO_STRING and the string functions do: null to "", arrays and objects to JSON."""
    kind = value.__class__
    if kind is str:
        return str(value)
    if value is None:
        return ""
    return json_text(value)
