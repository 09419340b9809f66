"""Values in the form that PostgreSQL takes: columns for `unnest`, text that `text` and jsonb can hold. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any


def columns(rows: Iterable[Sequence[object]]) -> list[list[object]]:
    """Return the rows as one list for each column."""
    return [list(column) for column in zip(*rows, strict=True)]


def storable(text: str) -> str:
    """Return a text with U+0000 and lone surrogates replaced: human-readable copies of what clients sent."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def storable_json(value: Any) -> Any:
    """Return a JSON value with every text of it, names included, made `storable`."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        return {storable(name): storable_json(child) for name, child in value.items()}
    return [storable_json(child) for child in value] if isinstance(value, list) else value
