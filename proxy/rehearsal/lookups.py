"""Documents that ArangoDB's answer does not show: as PostgreSQL has them, or as ArangoDB has them now."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec
import orjson

import sql
from proxy.base.database import Database
from proxy.base.errors import ArangoError
from proxy.model.error_body import decode_error
from proxy.model.operations import Operation
from proxy.model.parsed_answer import revision_of, version_of
from proxy.rehearsal.met_documents import StoredVersion
from proxy.shadow.peer_lag import PeerLag
from proxy.stores.arango import ArangoStore
from proxy.stores.postgres.catalog import Catalog
from proxy.wire.endpoints import named

_ABSENT: Final = StoredVersion(None)
_PATIENCE: Final = 10.0  # seconds
_WHOLE: Final = "FOR d IN @@c LIMIT @n RETURN d"


class _Rows(msgspec.Struct):
    result: list[msgspec.Raw]


_ROWS: Final = msgspec.json.Decoder(_Rows)


class Lookups:
    """Reads single documents. Raises ArangoError for a collection that is not known, DatabaseError, UpstreamError."""

    def __init__(
        self,
        database: Database,
        origin: ArangoStore,
        caught_up: Callable[[str, float], Awaitable[bool]],
        peers: PeerLag,
    ) -> None:
        """caught_up(collection, timeout): True once this proxy's mirror has applied all that it took up to now."""
        self._database = database
        self._catalog = Catalog(database)
        self._origin = origin
        self._caught_up = caught_up
        self._peers = peers

    async def settled(self, collection: str) -> bool:
        """Wait until PostgreSQL has what every proxy has written up to now; False if that takes too long."""
        return all(await asyncio.gather(self._peers.caught_up(_PATIENCE), self._caught_up(collection, _PATIENCE)))

    async def target(self, collection: str, keys: Sequence[str]) -> dict[str, StoredVersion]:
        """Return what PostgreSQL has of these keys, perhaps late."""
        relation = await self._catalog.find(collection)
        try:
            rows = await self._database.fetch(sql.rehearsal.VERSIONS.on(relation.relation), list(keys))
        except BaseException:
            self._catalog.clear()  # it may have another table now
            raise
        found = {row.key: StoredVersion(None if row.raw is None else row.raw.encode(), row.rev) for row in rows}
        return {key: found.get(key, _ABSENT) for key in keys}

    async def origin(self, collection: str, keys: Sequence[str]) -> dict[str, StoredVersion]:
        """Return what ArangoDB has of these keys now."""
        database, _, name = collection.partition("/")
        found = await self._origin.read(database, name, keys)
        return {key: _ABSENT if raw is None else StoredVersion(raw, revision_of(raw)) for key, raw in found.items()}

    async def whole_target(self, collection: str, limit: int) -> dict[str, StoredVersion]:
        """Return what PostgreSQL has of a collection, with its tombstones; at most `limit` rows."""
        relation = await self._catalog.find(collection)
        try:
            rows = await self._database.fetch(sql.rehearsal.WHOLE.on(relation.relation), limit)
        except BaseException:
            self._catalog.clear()
            raise
        return {row.key: StoredVersion(None if row.raw is None else row.raw.encode(), row.rev) for row in rows}

    async def whole_origin(self, collection: str, limit: int) -> dict[str, StoredVersion]:
        """Return what ArangoDB has of a collection now; at most `limit` documents."""
        database, _, name = collection.partition("/")
        query = {"query": _WHOLE, "bindVars": {"@c": name, "n": limit}, "batchSize": limit}
        outcome = await self._origin.execute(
            Operation(named("cursor.create"), "POST", database, path=("_api", "cursor"), body=orjson.dumps(query))
        )
        if outcome.status != 201:
            error = decode_error(outcome.body)
            raise ArangoError(error.number or 500, error.message, status=outcome.status)
        rows = _ROWS.decode(outcome.body).result
        return {version_of(bytes(raw)).key: StoredVersion(bytes(raw), revision_of(bytes(raw))) for raw in rows}
