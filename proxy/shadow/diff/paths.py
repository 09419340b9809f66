"""Paths within documents as mismatches print them, parsed: names joined by `.`, `[]` for the elements of an array,
other names as JSON (`"odd name"`); in patterns `*` is any one name. Pure.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

import orjson

ANY: Final = "*"
_TOKEN: Final = re.compile(r'\[\]|(?:^|\.)"((?:[^"\\]|\\.)*)"|(?:^|\.)([^.\[\]"]+)')


@lru_cache(maxsize=4096)
def tokens(path: str) -> tuple[str, ...]:
    """Return the steps of a path; `[]` for the elements of an array. Raise ValueError if it is not a path."""
    found: list[str] = []
    at = 0
    for step in _TOKEN.finditer(path):
        if step.start() != at:
            break
        at = step.end()
        quoted, plain = step.groups()
        if quoted is not None:
            found.append(orjson.loads(f'"{quoted}"'))
        else:
            found.append(plain if plain is not None else "[]")
    if not found or at != len(path) or path.startswith("."):
        raise ValueError(f"{path!r} is no path: write names joined by '.', [] for the elements of an array")
    return tuple(found)


def matches(path: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    """Return True if a path ends with a pattern: one pattern serves a document, an array of
    them and rows of a query.
    """
    return len(path) >= len(pattern) and all(
        wanted in (step, ANY) and (step != "[]" or wanted == "[]")
        for step, wanted in zip(path[len(path) - len(pattern) :], pattern, strict=True)
    )
