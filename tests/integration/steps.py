"""Requests of sequences that two servers must answer alike.

A `{name}` in a target, a body or a header is what an earlier step of the sequence has saved.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Step:
    """One request. body: JSON, or text as it is. save: name -> path in the answer, such as `graph._rev`."""

    method: str
    target: str
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    save: Mapping[str, str] = field(default_factory=dict)


def get(target: str, **save: str) -> Step:
    return Step("GET", target, save=save)


def post(target: str, body: Any = None, **save: str) -> Step:
    return Step("POST", target, body, save=save)


def put(target: str, body: Any = None, **save: str) -> Step:
    return Step("PUT", target, body, save=save)


def patch(target: str, body: Any = None, **save: str) -> Step:
    return Step("PATCH", target, body, save=save)


def delete(target: str, body: Any = None, **save: str) -> Step:
    return Step("DELETE", target, body, save=save)


def documents(*keys: str) -> list[dict[str, Any]]:
    return [{"_key": key, "n": number, "s": {"a": key}} for number, key in enumerate(keys)]


COLLECTION: Final = "/_api/collection"
DOCUMENT: Final = "/_api/document"
CURSOR: Final = "/_api/cursor"
