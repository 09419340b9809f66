"""Values in the form that PostgreSQL takes: columns for `unnest`, text that `text` and jsonb can hold. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def columns(rows: Iterable[Sequence[object]]) -> list[list[object]]:
    """The rows as one list a column."""
    return [list(column) for column in zip(*rows, strict=True)]


def storable(text: str) -> str:
    """The text with U+0000 and lone surrogates replaced: names and values that clients gave, kept for people."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
