"""The functions of AQL, one module a group. Importing this package registers them all.

Values in, values out: no argument makes a function fail; one of a wrong type gives null and a warning (semantics page,
section 10).

    registry                    what is known of a function: arguments, facts, implementation
    sql_calls                   the SQL form of a function, for conditions and sort keys
    type_checks                 IS_… and TO_…
    text, text_search, patterns, encodings      strings, LIKE, regular expressions
    arrays, sets                arrays
    documents                   objects and ids
    numbers, statistics, bitwise, vectors       numbers
    calendar, zones, dates, date_arithmetic, date_formats       DATE_…
    hashing, value_hash         digests, HASH
    misc                        choosing, control of the run, facts of the database
    elsewhere                   known by name, without an implementation here

Terms: *fact*: what is known of a function without running it (`registry.Function`): random, large, fetches, ….
*Implementation*: the function itself, of values. *SQL form*: the expression that it compiles to, if there is one.
"""

from __future__ import annotations

from proxy.aql.functions.registry import REGISTRY, Function, Implementation
from proxy.base.errors import Unsupported
from proxy.base.module_discovery import import_modules

__all__ = ["FUNCTIONS", "find"]
FUNCTIONS: dict[str, Function] = REGISTRY
import_modules(__name__)


def find(name: str) -> Implementation:
    """Return the implementation of a function. Raise Unsupported, by name."""
    found = REGISTRY.get(name)
    if found is None or found.implementation is None:
        raise Unsupported(f"function {name}")
    return found.implementation
