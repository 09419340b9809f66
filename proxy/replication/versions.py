"""Versions of documents and the order among them: the join of I4 on (revision, removed). Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol


class StampedVersion(NamedTuple):
    """One version to apply. raw: the document as ArangoDB printed it, None for a removal. stamp: an era."""

    key: str
    rev: int
    raw: bytes | None
    stamp: int

    @property
    def removed(self) -> bool:
        return self.raw is None


class Stored(NamedTuple):
    """PostgreSQL's version of a key. alive: False for a tombstone. A key without a row has no Stored."""

    rev: int
    alive: bool


class KeyRevision(NamedTuple):
    """A document that ArangoDB has, known by its revision alone."""

    key: str
    rev: int

    @property
    def removed(self) -> bool:
        return False


class Ordered(Protocol):
    """Anything that has a place in the order of versions."""

    @property
    def rev(self) -> int: ...

    @property
    def removed(self) -> bool: ...


def is_superseded(version: Ordered, stored: Stored | None) -> bool:
    """Return True if PostgreSQL has this version, or one that came after it."""
    if stored is None:
        return False
    if version.removed:
        return stored.rev > version.rev or (stored.rev == version.rev and not stored.alive)
    return stored.rev >= version.rev


def newest(rows: Iterable[StampedVersion]) -> list[StampedVersion]:
    """Return one row a key: the greatest by (revision, removed)."""
    best: dict[str, StampedVersion] = {}
    for row in rows:
        known = best.get(row.key)
        if known is None or (row.rev, row.removed) >= (known.rev, known.removed):
            best[row.key] = row
    return list(best.values())
