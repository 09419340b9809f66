"""JSON that ArangoDB printed, as values. Layer 0: pure.

`values.parse` judges what clients send; what lies here reads what ArangoDB itself wrote, which may be older than its
present rules: lone surrogates are kept. Numbers: integers of 64 bits exactly, everything else is a double, and so is
`-0`, which ArangoDB prints for the double only (protocol page, section 2, "JSON values").
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

import orjson

from proxy.model.json_values import INT_MAX, INT_MIN

_NEGATIVE_ZERO: Final = re.compile(rb"-0(?![0-9.eE])")


def load(raw: bytes) -> Any:
    """The value of a JSON text. Raises ValueError where it is none."""
    if b"-0" not in raw or _NEGATIVE_ZERO.search(raw) is None:
        try:
            return orjson.loads(raw)
        except orjson.JSONDecodeError:
            pass  # a lone surrogate, or no JSON: the slow parser tells
    return json.loads(raw.decode("utf-8", "surrogatepass"), parse_int=_integer)


def _integer(text: str) -> int | float:
    if text == "-0":
        return -0.0
    value = int(text)
    return value if INT_MIN <= value <= INT_MAX else float(value)
