"""The open intents of this process, by collection and key, and who waits for them. No I/O; memory stays bounded.

An open intent is *held* under its keys while this process handles it, and *unkeyed* if its keys are not known, or in
the journal alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from proxy.journal.dirty_collections import EVERYTHING
from proxy.journal.intent import Ending


class _Barrier:
    """Waits for the intents that were open when it was made: those below `limit`, and orphans down to `orphan`."""

    __slots__ = ("left", "limit", "orphan", "passed")

    def __init__(self, limit: int, orphan: int, left: int, passed: asyncio.Future[None]) -> None:
        self.limit = limit
        self.orphan = orphan
        self.left = left
        self.passed = passed


_LARGE_INTENT: Final = 500  # keys of one intent that are kept as one set: counting each would block the event loop


class IntentIndex:
    """Collections are `database/name`, `database/*` or `*`.

    The keys of an intent with many of them are one set, so that no step handles each key.
    """

    def __init__(self) -> None:
        self._open: dict[str, int] = {}
        self._unkeyed: dict[str, int] = {}
        self._held: dict[str, dict[str, int]] = {}
        self._key_sets: dict[str, dict[Sequence[str], list[frozenset[str]]]] = {}  # by an intent's keys
        self._barriers: dict[str, list[_Barrier]] = {}
        self._waiters: dict[int, set[asyncio.Future[Ending]]] = {}

    # ---- changes

    def begin(self, collection: str, keys: Sequence[str]) -> None:
        """Open an intent."""
        self._open[collection] = self._open.get(collection, 0) + 1
        self._hold(collection, keys)

    def recovered(self, collections: Mapping[str, int]) -> None:
        """Open what an earlier process left."""
        for collection, number in collections.items():
            self._open[collection] = self._open.get(collection, 0) + number
            self._unkeyed[collection] = self._unkeyed.get(collection, 0) + number

    def add_keys(self, collection: str, keys: Sequence[str]) -> None:
        """Hold an unkeyed intent under its keys, which became known."""
        _less(self._unkeyed, collection)
        self._hold(collection, keys)

    def release_keys(self, collection: str, keys: Sequence[str]) -> None:
        """Make an intent unkeyed: from now on the journal alone has its keys."""
        if keys:
            self._release(collection, keys)
            self._unkeyed[collection] = self._unkeyed.get(collection, 0) + 1

    def end(self, seq: int, collection: str, keys: Sequence[str], how: Ending = Ending.APPLIED) -> None:
        """Close an intent. `keys`: those that it is held under; none if it is unkeyed."""
        _less(self._open, collection)
        if keys:
            self._release(collection, keys)
        else:
            _less(self._unkeyed, collection)
        if self._waiters:
            for waiter in self._waiters.pop(seq, ()):
                if not waiter.done():
                    waiter.set_result(how)
        if self._barriers:
            self._pass(collection, seq)

    # ---- questions

    def open_of(self, collection: str) -> int:
        """Count the open intents that may concern the collection, those of its whole database included."""
        return sum(self._open.get(name, 0) for name in scopes_of(collection))

    def pending(self, collection: str, keys: Iterable[str]) -> bool:
        """Return True if an open intent may concern one of these keys; in doubt, True."""
        if any(self._unkeyed.get(name) for name in scopes_of(collection)):
            return True
        held, key_sets = self._held.get(collection), self._key_sets.get(collection)
        if key_sets is not None:
            keys = tuple(keys)
            if any(not key_set.isdisjoint(keys) for same in key_sets.values() for key_set in same):
                return True
        return held is not None and any(key in held for key in keys)

    def held(self, collection: str, key: str) -> int:
        """Count the intents that are held under this key."""
        key_sets = self._key_sets.get(collection, {}).values()
        number = sum(key in key_set for same in key_sets for key_set in same)
        return self._held.get(collection, {}).get(key, 0) + number

    def unkeyed(self, collection: str) -> int:
        """Count the open intents that may concern any key of the collection."""
        return sum(self._unkeyed.get(name, 0) for name in scopes_of(collection))

    @property
    def has_waiters(self) -> bool:
        """True if a request waits for an intent."""
        return bool(self._waiters or self._barriers)

    # ---- waiting

    async def ended(self, seq: int) -> Ending:
        """Wait until that intent, which is open, has ended; return how."""
        waiter: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(seq, set()).add(waiter)
        try:
            return await waiter
        finally:
            others = self._waiters.get(seq)
            if others is not None:
                others.discard(waiter)
                if not others:
                    del self._waiters[seq]

    async def caught_up(self, collection: str, limit: int, orphan: int = 0) -> None:
        """Wait until every intent that is open now and may concern the collection has ended.

        limit: the number of the next intent. orphan: that of the last one that is not in the journal; those are
        negative and count down.
        """
        mine: list[tuple[str, _Barrier]] = []
        loop = asyncio.get_running_loop()
        for name in scopes_of(collection):
            number = self._open.get(name, 0)
            if number:
                barrier = _Barrier(limit, orphan, number, loop.create_future())
                self._barriers.setdefault(name, []).append(barrier)
                mine.append((name, barrier))
        try:
            for _, barrier in mine:
                await barrier.passed
        finally:
            for name, barrier in mine:
                self._lift(name, barrier)

    # ---- parts

    def _hold(self, collection: str, keys: Sequence[str]) -> None:
        if not keys:
            self._unkeyed[collection] = self._unkeyed.get(collection, 0) + 1
            return
        if len(keys) > _LARGE_INTENT:
            self._key_sets.setdefault(collection, {}).setdefault(tuple(keys), []).append(frozenset(keys))
            return
        held = self._held.get(collection)
        if held is None:
            held = self._held[collection] = {}
        for key in keys:
            held[key] = held.get(key, 0) + 1

    def _release(self, collection: str, keys: Sequence[str]) -> None:
        if len(keys) > _LARGE_INTENT:
            self._part(collection, tuple(keys))
            return
        held = self._held.get(collection, {})
        for key in keys:
            _less(held, key)
        if not held:
            self._held.pop(collection, None)

    def _part(self, collection: str, keys: tuple[str, ...]) -> None:
        key_sets = self._key_sets[collection]
        key_sets[keys].pop()
        if not key_sets[keys]:
            del key_sets[keys]
        if not key_sets:
            del self._key_sets[collection]

    def _pass(self, collection: str, seq: int) -> None:
        for barrier in self._barriers.get(collection, ()):
            if barrier.orphan <= seq < barrier.limit:
                barrier.left -= 1
                if barrier.left == 0 and not barrier.passed.done():
                    barrier.passed.set_result(None)

    def _lift(self, name: str, barrier: _Barrier) -> None:
        barriers = self._barriers[name]
        barriers.remove(barrier)
        if not barriers:
            del self._barriers[name]


def scopes_of(collection: str) -> tuple[str, ...]:
    """Return the names under which an intent may concern the collection."""
    whole = collection.partition("/")[0] + "/*"
    return (collection, whole, EVERYTHING) if collection != whole else (collection, EVERYTHING)


def _less(counts: dict[str, int], name: str) -> None:
    left = counts.get(name, 0) - 1
    if left > 0:
        counts[name] = left
    else:
        counts.pop(name, None)
