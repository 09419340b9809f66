"""Follows what ArangoDB's TTL indexes remove, of which no request tells: else such documents stay as ghosts.

Documents whose time is over are looked for in PostgreSQL, by an index of the moments that they state, and each such key
is repaired: ArangoDB says whether it has removed the document. One process at a time does that for all collections,
every interval; any process does it for one collection before it calls a difference of a read a mismatch.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

import sql
from proxy.base.database import Database
from proxy.base.errors import ArangoError, DatabaseError, UpstreamError, error_label
from proxy.model.documents import escape_text
from proxy.replication.key_repair import CannotRead, KeyRepairer

log = structlog.get_logger(__name__)

INTERVAL: Final = 30.0  # seconds, as that of ArangoDB
_SKEW: Final = 10.0  # seconds that ArangoDB's clock may be ahead
_PAGE: Final = 1_000  # keys
_PAGES: Final = 10  # of one index in one round: ArangoDB may be late, or not remove what we take for expired
_ASKED: Final = 100  # collections whose indexes are read in one round
_START: Final = (float("-inf"), "")


@dataclass(frozen=True, slots=True)
class TtlIndex:
    """number: its id. path: of the attribute. after: seconds after the moment that it states."""

    number: int
    path: tuple[str, ...]
    after: float


def ttl_indexes(definitions: Iterable[Mapping[str, object]]) -> tuple[TtlIndex, ...]:
    """Return those of a collection's indexes, as ArangoDB shows them."""
    found = []
    for shown in definitions:
        fields, after = shown.get("fields"), shown.get("expireAfter")
        if shown.get("type") == "ttl" and isinstance(fields, list) and isinstance(after, int | float):
            number = int(str(shown.get("id", "")).rpartition("/")[2])
            found.append(TtlIndex(number, tuple(str(fields[0]).split(".")), float(after)))
    return tuple(found)


class IndexReader(Protocol):
    """Reads the indexes of a collection from ArangoDB. Raises ArangoError, UpstreamError."""

    async def indexes(self, database: str, collection: str) -> Sequence[Mapping[str, object]]: ...


class ExpiryFollower:
    """Follows the expiry of every collection whose writes ArangoDB takes. now: seconds since the epoch."""

    def __init__(
        self,
        database: Database,
        origin: IndexReader,
        repairer: KeyRepairer,
        *,
        now: Callable[[], float] = time.time,
        interval: float = INTERVAL,
    ) -> None:
        self._database = database
        self._origin = origin
        self._repairer = repairer
        self._now = now
        self._interval = interval
        self._indexes: dict[str, tuple[TtlIndex, ...]] = {}  # by collection
        self._read_at: dict[str, float] = {}  # when they were read, by the monotonic clock
        self._asked: str = ""  # the collection whose indexes were read last
        self._positions: dict[tuple[str, int], tuple[float, str]] = {}  # of each index, where a round ended

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            await asyncio.sleep(self._interval)
            try:
                await self.round()
            except (DatabaseError, UpstreamError, ArangoError) as error:
                log.debug("expiry_waits", error=error_label(error))

    async def round(self) -> None:
        """Follow every collection, unless another process does. Raise DatabaseError, UpstreamError, ArangoError."""
        async with self._database.session() as session:
            if not await session.fetchval(sql.complete.TRY_LOCK_INDEXES):
                return
            try:
                relations = {row.collection: row.relation for row in await session.fetch(sql.mirror.OF_ORIGIN)}
                await self._read_indexes(sorted(relations))
                for collection in [name for name in relations if self._indexes.get(name)]:
                    for index in self._indexes[collection]:
                        await self._ensure_index(relations[collection], index)
                    await self.follow(collection, relations[collection])
            finally:
                await asyncio.shield(session.fetchval(sql.complete.UNLOCK_INDEXES))

    async def follow(self, collection: str, relation: str = "") -> None:
        """Repair the documents of a collection whose time is over. Raise DatabaseError, UpstreamError, ArangoError."""
        if time.monotonic() - self._read_at.get(collection, float("-inf")) > self._interval:
            await self._read(collection)
        for index in self._indexes.get(collection, ()):
            table = relation or await self._relation(collection)
            if table:
                await self._follow(collection, table, index)

    async def _relation(self, collection: str) -> str:
        found = await self._database.fetch(sql.mirror.OF_ORIGIN)
        return next((row.relation for row in found if row.collection == collection), "")

    async def _read_indexes(self, collections: list[str]) -> None:
        """Read the indexes of collections in turn, of some of them in each round."""
        later = [name for name in collections if name > self._asked]
        for name in (later + collections)[: min(_ASKED, len(collections))]:
            await self._read(name)
            self._asked = name
        self._indexes = {name: found for name, found in self._indexes.items() if name in collections}

    async def _read(self, collection: str) -> None:
        database, _, name = collection.partition("/")
        self._read_at[collection] = time.monotonic()
        try:
            self._indexes[collection] = ttl_indexes(await self._origin.indexes(database, name))
        except ArangoError as error:
            if error.status >= 500:
                raise
            self._indexes[collection] = ()  # dropped, or not allowed: nothing is known of its indexes

    async def _ensure_index(self, relation: str, index: TtlIndex) -> None:
        """Create the index by which expired documents are found, beside running writes."""
        name, schema = f'"ttl/{index.number}"', relation.rpartition(".")[0]
        if await self._database.fetchval(sql.mirror.HAS_INDEX, f"{schema}.{name}"):
            return
        columns = await self._database.fetchval(sql.complete.MOMENT_COLUMN, _escaped(index.path))
        building = await Database.open(self._database.dsn, size=1, timeout=None, application="crossfade expiry")
        try:
            for drop in await building.fetch(sql.indexes.DROPS_OF_INVALID, relation):
                await building.execute(sql.indexes.CARRY_OUT.fill(statement=drop))
            await building.execute(sql.indexes.CREATE.fill(name=name, columns=columns).on(relation))
            await building.execute(sql.complete.MARK_INDEX.fill(index=f"{schema}.{name}"))
        finally:
            await building.close()

    async def _follow(self, collection: str, relation: str, index: TtlIndex) -> None:
        place = collection, index.number
        moment = await self._database.fetchval(sql.complete.MOMENT_COLUMN, _escaped(index.path))
        statement = sql.mirror.EXPIRED.fill(moment=moment).on(relation)
        position, before, removed = self._positions.pop(place, _START), self._now() - index.after + _SKEW, 0
        for _ in range(_PAGES):
            rows = await self._database.fetch(statement, before, *position, _PAGE)
            try:
                done = await self._repairer.until_done(collection, [row.key for row in rows])
            except CannotRead as error:
                log.debug("expiry_waits", collection=collection, error=error_label(error))
                return
            removed += len(done.removed)
            if len(rows) < _PAGE:
                break
            position = rows[-1].moment, rows[-1].key
        else:
            self._positions[place] = position
        if removed:
            log.info("expiry_followed", collection=collection, documents=removed)


def _escaped(path: tuple[str, ...]) -> list[str]:
    return [escape_text(name) for name in path]
