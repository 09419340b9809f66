"""Valid histories of a few keys: what an origin committed, in order, for the tests of I4."""

from __future__ import annotations

import json
from dataclasses import dataclass

from hypothesis import strategies as st

from proxy.model.revision import encode_rev
from proxy.replication.versions import StampedVersion

BASE = 1_800_000_000_000 << 20  # a revision of these years


def document(key: str, rev: int) -> bytes:
    """Return a version as ArangoDB would print it."""
    shown = {"_key": key, "_id": f"c/{key}", "_rev": encode_rev(rev), "version": rev - BASE}
    return json.dumps(shown, separators=(",", ":")).encode()


@dataclass(frozen=True)
class History:
    """events: (key, removed) in the order of their commits, without removals of missing documents."""

    events: tuple[tuple[str, bool], ...]

    def rows(self, stamp: int = 1) -> list[StampedVersion]:
        """Return one message per event: upserts with new revisions, removals with the removed one."""
        alive: dict[str, int] = {}
        result = []
        for number, (key, removed) in enumerate(self.events):
            if not removed:
                alive[key] = BASE + number
                result.append(StampedVersion(key, alive[key], document(key, alive[key]), stamp))
            elif key in alive:
                result.append(StampedVersion(key, alive.pop(key), None, stamp))
        return result

    def final(self) -> dict[str, int]:
        """Return the revisions of the documents that exist in the end."""
        alive: dict[str, int] = {}
        for row in self.rows():
            if row.raw is None:
                del alive[row.key]
            else:
                alive[row.key] = row.rev
        return alive


histories = st.lists(st.tuples(st.sampled_from("aab"), st.booleans()), max_size=12).map(
    lambda events: History(tuple(events))
)
