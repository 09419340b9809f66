"""Repair of a key (I5, mirror-protocol): PostgreSQL gets what ArangoDB has, or a tombstone if it has nothing.

    1. E := a raised era, committed        2. r0 := the revision in PostgreSQL
    3. the key is read from ArangoDB       4. upsert stamped E, or *absent*(r0, E)

Safe at any moment, beside live writes, the mirror, a backfill and other repairs: an upsert never covers a newer
version, and *absent* never covers one that appeared meanwhile. Such keys are `left`, and repaired again. Documents are
read again; operations are never run again. Used by the mirror, the resync, backfill, verification and commands.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from proxy.base import failpoints, metrics
from proxy.base.errors import ArangoError, DatabaseError
from proxy.journal.intent import Ending
from proxy.model.documents import valid_key
from proxy.model.parsed_answer import revision_of
from proxy.replication.session_writer import ApplyResult, ReplaceRule
from proxy.replication.target_writer import TargetWriter
from proxy.replication.versions import StampedVersion

KEYS: Final = 100  # read from ArangoDB in one request: 20 MB of documents of 200 KB
ROUNDS: Final = 5  # repairs of a key that keeps changing, before others get their turn
# The proxy's own account is refused, or ArangoDB is in trouble: a later request may succeed. Any other error is about
# what was asked for.
_TRANSIENT: Final = frozenset({401, 403, 408, 429})
GONE: Final = frozenset({1203, 1228})  # no such collection, no such database


class DocumentReader(Protocol):
    """Reads documents of ArangoDB as it printed them; None for a key that has no document.

    Raises ArangoError (one of `GONE` if the collection does not exist) and UpstreamError.
    """

    async def read(self, database: str, collection: str, keys: Sequence[str]) -> Mapping[str, bytes | None]: ...


class CannotRead(Exception):
    """ArangoDB will never return these keys: their collection needs a verification. error: its answer."""

    def __init__(self, error: ArangoError) -> None:
        super().__init__(str(error))
        self.error = error


class RepairResult(NamedTuple):
    """The outcome of a repair, by key. Keys that ArangoDB would never accept are in none of the sets.

    written: PostgreSQL took ArangoDB's version. removed: ArangoDB has no such document, a tombstone was written.
    unchanged: PostgreSQL had this version or a newer one. dead: PostgreSQL refused it: it is a dead letter. left: it
    changed meanwhile, and must be repaired again.
    """

    written: frozenset[str] = frozenset()
    removed: frozenset[str] = frozenset()
    unchanged: frozenset[str] = frozenset()
    dead: frozenset[str] = frozenset()
    left: frozenset[str] = frozenset()

    def then(self, later: RepairResult) -> RepairResult:
        """Combine with a later repair, of other keys or of those that were left."""
        return RepairResult(
            self.written | later.written,
            self.removed | later.removed,
            self.unchanged | later.unchanged,
            self.dead | later.dead,
            later.left,
        )

    def ending(self, keys: Iterable[str]) -> Ending:
        """Return how an intent ends that wrote these keys and no others."""
        return Ending.APPLIED if self.dead.isdisjoint(keys) else Ending.GIVEN_UP


class KeyRepairer:
    """Repairs keys of any collection. Holds no state."""

    def __init__(self, target: TargetWriter, origin: DocumentReader) -> None:
        self._target = target
        self._origin = origin

    async def keys(self, collection: str, keys: Sequence[str], *, last: bool = False) -> RepairResult:
        """Repair each key once. last: see `TargetWriter.write`.

        Raise DatabaseError, UpstreamError, ArangoError (401, 403, 5xx): try later; CannotRead: never again.
        """
        database, _, name = collection.partition("/")
        each = list(dict.fromkeys(keys))
        done, left = RepairResult(), frozenset[str]()
        for start in range(0, len(each), KEYS):
            wanted = sorted(filter(valid_key, each[start : start + KEYS]))  # ArangoDB refused the others
            if not wanted:
                await asyncio.sleep(0)  # one write may name many keys, of which none is valid
                continue
            done = done.then(await self._once(database, name, wanted, last=last))
            left |= done.left
        return done._replace(left=left)

    async def until_done(self, collection: str, keys: Sequence[str]) -> RepairResult:
        """Repair keys a few times if they change meanwhile; `left` are those that are not done. Raise as `keys`."""
        done = RepairResult(left=frozenset(keys))
        for number in range(1, ROUNDS + 1):
            done = done.then(await self.keys(collection, sorted(done.left), last=number == ROUNDS))
            if not done.left:
                break
        return done

    async def _once(self, database: str, name: str, keys: Sequence[str], *, last: bool) -> RepairResult:
        collection = f"{database}/{name}"
        letters = await self._target.dead_letters.of_keys(collection, keys)
        era = await self._target.raise_era()
        before = await self._target.revisions(collection, keys)
        try:
            found = await self._origin.read(database, name, keys)
        except ArangoError as error:
            if is_transient(error):
                raise
            raise CannotRead(error) from error
        failpoints.reach("mid-repair")
        rows = [StampedVersion(key, revision_of(raw), raw, era) for key, raw in found.items() if raw is not None]
        gone = {key: before[key].rev if key in before else 0 for key, raw in found.items() if raw is None}
        present = absent = ApplyResult()
        trouble: DatabaseError | None = None
        if rows:
            try:
                present = await self._target.write(collection, rows, rule=ReplaceRule.NEWER_OR_DIFFERENT, last=last)
            except DatabaseError as error:  # a refused document must not hold up the removals
                if not error.of_statement:
                    raise
                trouble = error
        if gone:
            absent = await self._target.absent(collection, gone, era, last=last)
        if trouble is not None:
            raise trouble
        if letters:
            await self._target.dead_letters.end_agreed(collection, letters, {row.key: row.rev for row in rows})
        done = present + absent
        metrics.REPAIRED_KEYS.labels(collection).inc(len(keys) - len(done.reread) - len(done.dead))
        return RepairResult(
            written=present.applied,
            removed=absent.applied,
            unchanged=frozenset(keys) - done.applied - done.dead - done.reread,
            dead=done.dead,
            left=done.reread,
        )


def is_transient(error: ArangoError) -> bool:
    """Return True if ArangoDB may answer otherwise when it is asked again."""
    return error.status >= 500 or error.status in _TRANSIENT
