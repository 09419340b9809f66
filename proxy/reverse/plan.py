"""Which documents a push writes and which it removes. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from proxy.reverse.batch import Version


@dataclass(frozen=True, slots=True)
class CollectionPlan:
    """What makes ArangoDB have the versions: first all removals, then the writes."""

    removals: tuple[str, ...]
    writes: tuple[Version, ...]


def plan(versions: Sequence[Version], revisions: Mapping[str, int], *, removes_first: bool) -> CollectionPlan:
    """Return what ArangoDB lacks. revisions: of the keys that it has.

    A document that it has with the same revision is left alone: a revision must not be written twice. removes_first:
    documents that are replaced are removed before, since they may exchange values of a unique index.
    """
    removals: list[str] = []
    writes: list[Version] = []
    for version in versions:
        there = revisions.get(version.key)
        if version.raw is None:
            if there is not None:
                removals.append(version.key)
        elif there != version.rev:
            if removes_first and there is not None:
                removals.append(version.key)
            writes.append(version)
    return CollectionPlan(tuple(removals), tuple(writes))
