"""What this process took, told to PostgreSQL: so that a revision which nobody took can be recognised (I10).

Revisions of versions that answers showed, keys that were read again, collections that were changed as a whole. A report
goes out every half second, in one statement with how far it reaches: `wrote`, `looked` and `whole` are called before
the intent behind them is settled, so a report tells all that was settled when it was made. Reports go one after the
other. So whatever was intended before the report before this one, less the age of the oldest intent that is still open,
is settled and told; that moment, in PostgreSQL's time, is `reached`. Nothing here waits for PostgreSQL on a request's
path (I2): what it does not take is kept, 8 bytes a revision, up to a bound; beyond, the report says that some is left
out.

Who reads it: backfill.out_of_band_watch.
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

KEPT_SECONDS: Final = 600.0  # for how long PostgreSQL keeps what was told
_MOST: Final = 1_000_000  # revisions and keys in memory
_AT_ONCE: Final = 5_000  # revisions and keys of one statement: two milliseconds of the event loop
_FORGET: Final = 120  # reports between two looks at what is old


_Part = tuple[Sequence[str], Sequence[str], Sequence[str], Sequence[bool]]  # collections, revisions, keys, whole


class _Taken:
    """What was taken of one collection since the last report."""

    __slots__ = ("keys", "revisions", "whole")

    def __init__(self) -> None:
        self.revisions = array("q")
        self.keys: dict[str, None] = {}
        self.whole = False


class WriteReporter:
    """Owns its task; start and close it with its owner. oldest: seconds since the oldest open intent, 0 for none.

    `oldest` raises JournalError where it cannot say.
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
        self._taken: dict[str, _Taken] = {}
        self._number = 0
        self._untold = False
        self._task: asyncio.Task[None] | None = None

    # ---- what the mirror tells, before it settles an intent

    def wrote(self, changes: Iterable[Change]) -> None:
        """Versions that the origin's answer showed; of removals, the removed version."""
        for change in changes:
            if self._number >= _MOST:
                self._untold = True
                return
            self._number += 1
            self._of(change.collection).revisions.append(change.rev if change.raw is not None else -change.rev)

    def looked(self, collection: str, keys: Sequence[str]) -> None:
        """Keys that were read again: a write of theirs may have a revision that no answer showed."""
        if self._number + len(keys) > _MOST:
            self._untold = True
            return
        self._number += len(keys)
        self._of(collection).keys.update(dict.fromkeys(keys))

    def repaired(self, note: Note) -> None:
        """An intent is about to be settled behind a repair, or a sweep of whole collections."""
        match note.write:
            case VertexRemoval():  # edges that went with it are of any collection of the database
                self.whole([note.collection.partition("/")[0] + "/*"])
            case CollectionChange(collections=collections):
                self.whole(collections)
            case DocumentWrite(keys=keys):
                self.looked(note.collection, keys)

    def whole(self, collections: Iterable[str]) -> None:
        """Collections (`db/*`: any of it) that were changed as a whole: truncated, dropped, filled."""
        for collection in collections:
            self._of(collection).whole = True

    def _of(self, collection: str) -> _Taken:
        found = self._taken.get(collection)
        if found is None:
            found = self._taken[collection] = _Taken()
        return found

    # ---- PostgreSQL

    async def report(self, *, last: bool = False) -> None:
        """One report. Raises DatabaseError; what it told is told again then (that does no harm)."""
        age: float | None
        try:
            age = self._oldest()
        except JournalError:
            age = None
        taken, number, untold = self._taken, self._number, self._untold
        self._taken, self._number, self._untold = {}, 0, False
        try:
            part: _Part = ((), (), (), ())
            for number, following in enumerate(_parts(taken)):  # made one at a time: statements are sent between them
                if number:
                    await self._tell(part, None, untold=untold)
                part = following
            await self._tell(part, age, untold=untold, closed=last and age == 0.0)
        except BaseException:
            self._back(taken, number, untold=untold)
            raise

    async def _tell(self, part: _Part, age: float | None, *, untold: bool, closed: bool = False) -> None:
        self._sequence += 1
        names, revisions, keys, whole = part
        await self._database.execute(
            sql.out_of_band.REPORT,
            self._instance,
            self._incarnation,
            self._sequence,
            age,
            untold,
            closed,
            list(names),
            list(revisions),
            list(keys),
            list(whole),
        )

    def _back(self, taken: dict[str, _Taken], number: int, *, untold: bool) -> None:
        newer, self._taken = self._taken, taken
        self._number += number
        self._untold |= untold
        for collection, one in newer.items():
            mine = self._of(collection)
            mine.revisions.extend(one.revisions)
            mine.keys.update(one.keys)
            mine.whole |= one.whole

    # ---- life

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="told")

    async def close(self) -> None:
        """The last report: it says whether all was told. Without it whoever reads takes this process for crashed."""
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


def _parts(taken: dict[str, _Taken]) -> Iterator[_Part]:
    """Columns of rows, of at most so many revisions and keys together."""
    rows: list[tuple[str, str, str, bool]] = []
    size = 0
    for collection, one in taken.items():
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
