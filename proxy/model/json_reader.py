"""Read JSON that ArangoDB printed. Pure.

`json_values.parse` validates what clients send; this module reads what ArangoDB wrote, perhaps before its present
rules: it keeps lone surrogates. Integers of 64 bits are exact; every other number is a double, and so is `-0`, which
ArangoDB prints for the double only (protocol page, section 2, "JSON values").
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

import orjson

from proxy.model.json_values import INT_MAX, INT_MIN

_NEGATIVE_ZERO: Final = re.compile(rb"-0(?![0-9.eE])")


def load(raw: bytes) -> Any:
    """Return the value of a JSON text. Raise ValueError if it is not one."""
    if b"-0" not in raw or _NEGATIVE_ZERO.search(raw) is None:
        try:
            return orjson.loads(raw)
        except orjson.JSONDecodeError:
            pass  # a lone surrogate, or not JSON: the slow parser decides
    return json.loads(raw.decode("utf-8", "surrogatepass"), parse_int=_integer)


def _integer(text: str) -> int | float:
    if text == "-0":
        return -0.0
    value = int(text)
    return value if INT_MIN <= value <= INT_MAX else float(value)
