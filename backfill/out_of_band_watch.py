"""Watches for out-of-band writes: reads what the origin shows and what proxies reported, and stores the others.

One watch runs at a time (an advisory lock); a second one waits. It continues to read the origin while PostgreSQL is
away, since the origin keeps its log for seconds only. It states since when it has missed nothing: that begins again
after a part of the log is gone, too many versions wait, or a restart took too long. What is judged, and why:
backfill.out_of_band_judge.

A collection that the origin does not have any more was dropped out of band if no proxy dropped it, once everything is
closed that proxies took before that check. The log does not show its documents, so the collection itself is reported.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

import sql
from backfill.out_of_band_judge import Gap, OriginVersion, PendingVersions, ReportedWrites
from backfill.wal_reader import LoggedVersion, OriginLog, Reader, RevisionScan, collections_of
from proxy.base.database import Database, Session
from proxy.base.errors import ArangoError, DatabaseError, UpstreamError, error_label
from proxy.base.log_throttle import LogThrottle
from proxy.control.gates.rules.out_of_band import VANISHED
from proxy.replication.versions import Stored
from proxy.stores.arango import Requester

log = structlog.get_logger(__name__)

_RESUME: Final = 200.0  # seconds after which a restart does not resume: earlier reports are about to expire
_STALE: Final = 240.0  # seconds between two reads after which reports from in between may have expired
_BACK: Final = 120.0  # seconds of earlier reports to read again: they are committed in another order than started
_READS: Final = 64  # consecutive reads of the log before their versions are judged
_VANISHED: Final = 10.0  # seconds between two listings of collections
_PAUSE: Final = {"log": 0.5, "scan": 10.0}  # seconds between two reads


@dataclass(frozen=True, slots=True)
class ClockBounds:
    """Bounds of PostgreSQL's clock relative to this process's monotonic clock."""

    low: float
    high: float

    def earliest(self, moment: float) -> float:
        return moment + self.low

    def latest(self, moment: float) -> float:
        return moment + self.high


@dataclass(frozen=True, slots=True)
class _Read:
    """A read up to the end of the log. seen: when it ended; began: earlier writes are in it or in a previous one."""

    seen: float
    began: float
    tick: int


class OutOfBandWatch:
    """Runs until cancelled or `stop` is set. found: called with each out-of-band write.

    pause: seconds between two reads; by default half a second for a log, ten for scans.
    """

    def __init__(
        self,
        database: Database,
        upstream: Requester,
        user: str,
        password: str,
        stop: asyncio.Event,
        *,
        found: Callable[[OriginVersion], object] = lambda _: None,
        pause: float | None = None,
    ) -> None:
        self._database = database
        self._account = (upstream, user, password)
        self._stop = stop
        self._found = found
        self._pause = pause
        self._pending = PendingVersions()
        self._reader: Reader | None = None
        self._clock: ClockBounds | None = None
        self._relations: dict[str, str] = {}  # tables of mirrored collections
        self._present: frozenset[str] = frozenset()  # mirrored collections that no proxy has dropped
        self._since: dict[str, float] = {}  # watched collections, and since when
        self._last = 0.0  # when the last read up to the log's end started, by PostgreSQL's clock
        self._reported: dict[int, float] = {}  # rows of _crossfade.reported_write that were processed
        self._learned = 0.0  # when they were last read
        self._reads: list[_Read] = []  # reads up to the log's end that are not judged yet
        self._judged = _Read(0.0, 0.0, 0)
        self._note = ""
        self._listed = 0.0  # when collections were last listed, by this process's clock
        self._absent: dict[str, float] = {}  # missing collections, and since when, by PostgreSQL's clock
        self._settled: frozenset[str] = frozenset()  # missing ones for which all earlier writes are reported
        self._vanished: frozenset[str] = frozenset()  # of these, those that no proxy dropped
        self._trouble = LogThrottle()

    async def run(self) -> None:
        """Watch; wait while another watch runs. Outages of either database may last for any time."""
        while not self._stop.is_set():
            try:
                async with self._database.session() as session:
                    while not self._stop.is_set() and not await session.fetchval(sql.out_of_band.HOLD_WATCH):
                        await self._wait(1.0)
                    while not self._stop.is_set():
                        await self._step(session)
                        await self._wait(self._pause or _PAUSE[self._reader.mode if self._reader else "log"])
            except DatabaseError as error:
                if self._trouble.should_log(error_label(error)):
                    log.info("watch_waits_for_target", error=str(error))
                with contextlib.suppress(UpstreamError, ArangoError):
                    await self._read_on()  # the origin keeps its log for seconds only
                await self._wait(0.5)

    async def _step(self, session: Session) -> None:
        """Read, judge and store once. Raise DatabaseError."""
        self._note = ""
        await self._watched(session)
        vanished = self._settled & self._present
        for name in vanished - self._vanished:
            log.warning("out_of_band_drop", collection=name)
        self._vanished = vanished
        try:
            await self._read_on()
            await self._find_missing_collections()
        except (UpstreamError, ArangoError) as error:
            self._note = f"ArangoDB's log cannot be read: {error}"
            if self._trouble.should_log(error_label(error)):
                log.info("watch_waits_for_origin", error=str(error))
        else:
            self._trouble.ended()
        await self._judge(session)
        if self._reader is not None:
            await self._keep(session, self._reader.mode)

    # ---- the origin

    async def _find_missing_collections(self) -> None:
        """Find collections that are missing and that no proxy dropped. Raise UpstreamError, ArangoError."""
        if time.monotonic() - self._listed >= _VANISHED:
            self._listed = time.monotonic()
            existing: set[str] = set()
            for database in {name.partition("/")[0] for name in self._present}:
                existing |= {f"{database}/{name}" for name in await collections_of(*self._account, database)}
            assert self._clock is not None
            now = self._clock.latest(time.monotonic())
            self._absent = {name: self._absent.get(name, now) for name in self._present - existing}

    async def _watched(self, session: Session) -> None:
        """Read which collections are mirrored."""
        before = time.monotonic()
        rows = await session.fetch(sql.out_of_band.WATCHED)
        now = rows[0].now
        self._clock = ClockBounds(now - time.monotonic(), now - before)
        self._relations = {
            row.collection: row.relation for row in rows if row.collection is not None and row.relation is not None
        }
        self._present = frozenset(row.collection for row in rows if row.collection is not None and row.present)
        removed = self._since.keys() - self._relations.keys()
        self._pending.forget(removed)
        for collection in removed:
            del self._since[collection]
        if self._relations and self._reader is None:
            await self._open(rows, now)

    async def _open(self, rows: Sequence[sql.out_of_band.WatchedRow], now: float) -> None:
        """Open the log, or else scans. Resume after an earlier watch if that stopped recently."""
        self._last, self._judged, reader = now, _Read(0.0, 0.0, 0), OriginLog(*self._account)
        known = [
            (row.tick_at, row.tick, row.collection, row.since)
            for row in rows
            if row.collection is not None and row.since is not None and row.tick and row.mode == "log"
            if row.tick_at is not None and row.tick_at > now - _RESUME
        ]
        newest = max(known, default=None)
        try:
            await reader.begin(0 if newest is None else newest[1])
            await reader.probe()
        except ArangoError as error:
            log.info("wal_unavailable", error=str(error))
            self._reader = RevisionScan(*self._account)
            return
        except UpstreamError as error:
            self._note = f"ArangoDB does not answer: {error}"
            return
        self._reader = reader
        if newest is not None:
            self._last, tick, *_ = newest
            self._judged = _Read(0.0, self._last, tick)
            self._since = {collection: since for _, _, collection, since in known}

    async def _read_on(self) -> None:
        """Read all new versions. Raise UpstreamError, ArangoError."""
        if self._reader is None or self._clock is None:
            return
        new = [collection for collection in self._relations if collection not in self._since]
        if new:
            before = await self._reader.join(new)
            self._pending.dismiss(_sightings(before, 0.0, 0.0))
        for _ in range(_READS):
            if not await self._read(self._reader, self._clock):
                break
        else:
            return
        # a later read returns what is written from now on
        self._since |= dict.fromkeys(new, self._clock.latest(time.monotonic()))

    async def _read(self, reader: Reader, clock: ClockBounds) -> bool:
        """Read once. Return True if more can be read immediately."""
        began = clock.earliest(time.monotonic())
        page = await reader.read(list(self._relations))
        seen = clock.latest(time.monotonic())
        if page.lost or began - self._last > _STALE:
            self._restart(seen, "part of ArangoDB's log, or of the reports on it, was lost before it was read")
        else:
            fresh = _sightings(page.versions, self._last, seen)
            self._pending.saw(one for one in fresh if one.collection in self._since)
        if self._pending.overflowed:
            self._pending.overflowed = False
            self._restart(seen, "too many versions waited to be judged")
        if not page.more:
            self._last = began
            self._reads.append(_Read(seen, began, page.tick))
        return page.more

    def _restart(self, now: float, why: str) -> None:
        log.warning("watch_restarted", why=why)
        self._pending.forget(self._since)
        self._since = dict.fromkeys(self._since, now)

    # ---- judgement

    async def _judge(self, session: Session) -> None:
        """Judge the versions that are due."""
        row = await session.fetchval(sql.out_of_band.COMPLETE_UNTIL)
        await self._learn(session)  # read after `complete_until`: includes all reports that it covers
        if row.behind:
            self._note = self._note or f"waits for reports of {', '.join(row.behind)}"
        reached = row.complete_until
        if reached is None:
            return
        self._settled = frozenset(name for name, since in self._absent.items() if since < reached)
        due = self._pending.due(reached)
        if due:
            await self._judge_due(session, due)
        while self._reads and self._reads[0].seen < reached:
            self._judged = self._reads.pop(0)

    async def _learn(self, session: Session) -> None:
        assert self._clock is not None
        now = self._clock.earliest(time.monotonic())
        if self._learned and now - self._learned > _RESUME:
            self._restart(now, "reports of proxies may have expired")
        since = (self._learned or now - _RESUME) - _BACK
        rows = await session.fetch(sql.out_of_band.REPORTED_SINCE, since, list(self._reported))
        self._learned = now
        self._reported |= {row.id: row.reported_at for row in rows}
        self._reported = {row: at for row, at in self._reported.items() if at >= now - 2 * _BACK}
        reports = [
            ReportedWrites(row.collection, row.revisions, row.keys, row.whole_collection, row.reported_at)
            for row in rows
        ]
        self._pending.learn(reports, now)

    async def _judge_due(self, session: Session, due: Sequence[OriginVersion]) -> None:
        """Judge, and store the out-of-band writes."""
        collections = sorted({one.collection for one in due})
        marks = await session.fetch(sql.out_of_band.UNVERIFIED_UNTIL, collections)
        gaps = [Gap(row.since, row.until) for row in await session.fetch(sql.out_of_band.MISSED)]
        stored: dict[tuple[str, str], Stored] = {}
        for collection in collections if gaps else ():
            keys = sorted({one.key for one in due if one.collection == collection})
            rows = await session.fetch(sql.documents.REVISIONS.on(self._relations[collection]), keys)
            stored |= {(collection, row.key): Stored(row.rev, row.alive) for row in rows}
        unverified: Mapping[str, float] = {row.collection: row.until for row in marks}
        found = self._pending.judge(due, unverified=unverified, gaps=gaps, stored=stored)
        if found:
            await session.execute(
                sql.out_of_band.FOUND,
                [one.collection for one in found],
                [one.key for one in found],
                [one.rev for one in found],
                [one.removed for one in found],
            )
        self._pending.done(due)  # not before it is stored: PostgreSQL may be away
        for one in found:
            log.warning("out_of_band_write", collection=one.collection, key=one.key)
            self._found(one)

    async def _keep(self, session: Session, mode: str) -> None:
        names = sorted(self._since)
        pending = self._pending.count()
        await session.execute(
            sql.out_of_band.KEEP_WATCH,
            mode,
            names,
            [self._since[name] for name in names],
            self._judged.began,
            [pending.get(name, 0) for name in names],
            [VANISHED if name in self._vanished else self._note for name in names],
            self._judged.tick,
            self._judged.began,
        )

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)


def _sightings(versions: Sequence[LoggedVersion], after: float, seen: float) -> list[OriginVersion]:
    return [OriginVersion(one.collection, one.key, one.rev, one.removed, after, seen) for one in versions]
