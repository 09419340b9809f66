"""Versions that this proxy has seen committed, in their order: what a later write must have met. Bounded.

A document that is read after a write was answered shows what the write met only if that version was committed before
the write was sent, and is there still. Its revision alone does not tell that: a transaction or a query gives revisions
long before it commits. So the version must have been in an answer before; or it is so old that whatever gave it has
ended. The same holds for known, whose tombstones have the revision of the version that was removed.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from proxy.model.operations import Change

_MOST: Final = 20_000
OLD: Final = 600_000 << 20  # of revisions: ten minutes, longer than transactions and queries that write


class KnownVersions:
    """The versions that were seen last, by (collection, key). moment: counts them; a write is sent at one.

    newest: the greatest revision that ArangoDB is known to have given.
    """

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._known: OrderedDict[tuple[str, str], tuple[int, bool, int]] = OrderedDict()
        self.moment = 0
        self.newest = 0

    def note(self, change: Change) -> None:
        """Note a version, or a removal, that an answer has shown."""
        self.moment += 1
        self.newest = max(self.newest, change.rev)
        key = change.collection, change.key
        self._known[key] = change.rev, change.raw is None, self.moment
        self._known.move_to_end(key)
        if len(self._known) > self._most:
            self._known.popitem(last=False)

    def before(self, collection: str, key: str, rev: int, moment: int, *, removed: bool = False) -> bool:
        """Return True if a version is known to have been committed, or removed, by that moment."""
        known = self._known.get((collection, key))
        return known is not None and known[:2] == (rev, removed) and known[2] <= moment
