"""Reports the writes of this process to PostgreSQL, so that out-of-band writes can be recognised (I10).

Reported are: revisions of versions that answers showed, keys that were read again, collections that were changed as a
whole. A report goes out every half second, together with how far it reaches: `wrote`, `reread` and `whole` are called
before the intent of a write is closed, so a report covers all that was closed when it was made. Reports go one after
the other. So whatever was intended before the report before this one, less the age of the oldest open intent, is closed
and reported; until that moment, in PostgreSQL's time, the reports are complete. No request waits for PostgreSQL here
(I2): what it does not take is kept, 8 bytes a revision, up to a bound. Beyond the bound a report states that it is
incomplete.

Reader: backfill.out_of_band_watch.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import orjson
import structlog

import sql
from proxy.base.database import Database
from proxy.base.errors import DatabaseError, JournalError
from proxy.base.sql_values import storable
from proxy.base.supervise import cancelled
from proxy.journal.records import CollectionChange, DocumentWrite, Note, VertexRemoval
from proxy.model.operations import Change

log = structlog.get_logger(__name__)

KEPT_SECONDS: Final = 600.0  # for which PostgreSQL keeps reports
_MOST: Final = 1_000_000  # revisions and keys in memory
_AT_ONCE: Final = 5_000  # revisions and keys of one statement: two milliseconds of the event loop
_FORGET: Final = 120  # reports between two removals of old ones


_Part = tuple[Sequence[str], Sequence[str], Sequence[str], Sequence[bool]]  # collections, revisions, keys, whole


class _Written:
    """The writes to one collection since the last report."""

    __slots__ = ("keys", "revisions", "whole")

    def __init__(self) -> None:
        self.revisions = array("q")
        self.keys: dict[str, None] = {}
        self.whole = False


class WriteReporter:
    """Owns its task; its owner starts and closes it.

    oldest: returns the seconds since the oldest open intent, 0 for none. Raises JournalError if that is unknown.
    """

    def __init__(
        self, database: Database, instance: str, oldest: Callable[[], float], *, interval: float = 0.5
    ) -> None:
        self._database = database
        self._instance = instance
        self._oldest = oldest
        self._interval = interval
        self._incarnation = uuid.uuid4().hex
        self._sequence = 0
        self._written: dict[str, _Written] = {}
        self._number = 0
        self._incomplete = False
        self._task: asyncio.Task[None] | None = None

    # ---- what the mirror reports, before it closes an intent

    def wrote(self, changes: Iterable[Change]) -> None:
        """Note versions that ArangoDB's answer showed; of removals, the removed version."""
        for change in changes:
            if self._number >= _MOST:
                self._incomplete = True
                return
            self._number += 1
            self._of(change.collection).revisions.append(change.rev if change.raw is not None else -change.rev)

    def reread(self, collection: str, keys: Sequence[str]) -> None:
        """Note keys that were read again: a write to them may have a revision that no answer showed."""
        if self._number + len(keys) > _MOST:
            self._incomplete = True
            return
        self._number += len(keys)
        self._of(collection).keys.update(dict.fromkeys(keys))

    def repaired(self, note: Note) -> None:
        """Note an intent that is about to be closed after a repair or a resync."""
        match note.write:
            case VertexRemoval():  # edges that went with it are of any collection of the database
                self.whole([note.collection.partition("/")[0] + "/*"])
            case CollectionChange(collections=collections):
                self.whole(collections)
            case DocumentWrite(keys=keys):
                self.reread(note.collection, keys)

    def whole(self, collections: Iterable[str]) -> None:
        """Note collections (`db/*`: any of it) that were changed as a whole: truncated, dropped, filled."""
        for collection in collections:
            self._of(collection).whole = True

    def _of(self, collection: str) -> _Written:
        found = self._written.get(collection)
        if found is None:
            found = self._written[collection] = _Written()
        return found

    @property
    def waiting(self) -> int:
        """The number of revisions and keys that are to be reported."""
        return self._number

    # ---- PostgreSQL

    async def report(self, *, last: bool = False) -> None:
        """Send one report. Raise DatabaseError; all of it is reported again then, which does no harm."""
        age: float | None
        try:
            age = self._oldest()
        except JournalError:
            age = None
        written, number, incomplete = self._written, self._number, self._incomplete
        self._written, self._number, self._incomplete = {}, 0, False
        try:
            part: _Part = ((), (), (), ())
            for index, following in enumerate(_parts(written)):  # made one at a time: statements are sent in between
                if index:
                    await self._send(part, None, incomplete=incomplete)
                part = following
            await self._send(part, age, incomplete=incomplete, closed=last and age == 0.0)
        except BaseException:
            self._put_back(written, number, incomplete=incomplete)
            raise

    async def _send(self, part: _Part, age: float | None, *, incomplete: bool, closed: bool = False) -> None:
        self._sequence += 1
        names, revisions, keys, whole = part
        await self._database.execute(
            sql.out_of_band.REPORT,
            self._instance,
            self._incarnation,
            self._sequence,
            age,
            incomplete,
            closed,
            list(names),
            list(revisions),
            list(keys),
            list(whole),
        )

    def _put_back(self, written: dict[str, _Written], number: int, *, incomplete: bool) -> None:
        newer, self._written = self._written, written
        self._number += number
        self._incomplete |= incomplete
        for collection, one in newer.items():
            mine = self._of(collection)
            mine.revisions.extend(one.revisions)
            mine.keys.update(one.keys)
            mine.whole |= one.whole

    # ---- life

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="write reports")

    async def close(self) -> None:
        """Send the last report, which states whether it is complete. Without it this process counts as crashed."""
        if self._task is not None:
            await cancelled(self._task)
            self._task = None
        with contextlib.suppress(DatabaseError):
            await self.report(last=True)

    async def _run(self) -> None:
        rounds = 0
        while True:
            try:
                await self.report()
                if rounds % _FORGET == 0:
                    await self._database.execute(sql.out_of_band.FORGET, KEPT_SECONDS)
                rounds += 1
            except DatabaseError as error:
                log.debug("write_reports_wait", error=str(error))
            await asyncio.sleep(self._interval)


def _parts(written: dict[str, _Written]) -> Iterator[_Part]:
    """Yield columns of rows, of at most _AT_ONCE revisions and keys together."""
    rows: list[tuple[str, str, str, bool]] = []
    size = 0
    for collection, one in written.items():
        keys = list(one.keys)
        for start in range(0, max(1, len(one.revisions), len(keys)), _AT_ONCE):
            revisions, some = one.revisions[start : start + _AT_ONCE], keys[start : start + _AT_ONCE]
            if rows and size + len(revisions) + len(some) > _AT_ONCE:
                yield _columns(rows)
                rows, size = [], 0
            size += len(revisions) + len(some)
            text = "{" + ",".join(map(str, revisions)) + "}"
            rows.append((storable(collection), text, orjson.dumps([*map(storable, some)]).decode(), one.whole))
    if rows:
        yield _columns(rows)


def _columns(rows: Sequence[tuple[str, str, str, bool]]) -> _Part:
    names, revisions, keys, whole = zip(*rows, strict=True)
    return names, revisions, keys, whole
