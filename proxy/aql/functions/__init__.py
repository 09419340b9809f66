"""The functions of AQL, one module a group; importing them registers them. Values in, values out: no argument makes
a function fail, a wrong type gives null and a warning (semantics page, section 10).

    type_checks   IS_… and TO_…             text, text_search   strings             patterns, regex   LIKE, REGEX_…
    arrays, sets  arrays                    documents   objects    numbers, statistics, bitwise, vectors
    dates, calendar, timezones DATE_…       hashing, value_hash  digests, encodings, HASH  misc
"""

from __future__ import annotations

from proxy.aql.functions import (
    arrays,
    bitwise,
    dates,
    documents,
    hashing,
    misc,
    numbers,
    patterns,
    sets,
    statistics,
    text,
    text_search,
    type_checks,
    value_hash,
    vectors,
    zones,
)
from proxy.aql.functions.registry import REGISTRY, Implementation
from proxy.base.errors import Unsupported

__all__ = ["find"]
_GROUPS = (
    arrays,
    bitwise,
    dates,
    documents,
    hashing,
    misc,
    numbers,
    patterns,
    sets,
    statistics,
    text,
    text_search,
    type_checks,
    value_hash,
    vectors,
    zones,
)


def find(name: str) -> Implementation:
    """The implementation of a function. Raises Unsupported, by name."""
    found = REGISTRY.get(name)
    if found is None:
        raise Unsupported(f"function {name}")
    return found
