"""The databases that an export reads: ArangoDB or PostgreSQL, in pages of limited size, in byte order of keys."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import sql
from backfill.archive.manifest import ArchiveOrigin
from backfill.archive.server import EDGE, ArangoServer
from backfill.archive.storage import ArchiveError
from backfill.key_ranges import FIRST_PAGE, PAGE_BYTES, PAGE_DOCUMENTS, next_limit
from backfill.origin_pages import Document
from backfill.source import ArangoSource
from proxy.base.database import Database

_STORED_BYTES: Final = 1 << 20  # size of a page as stored by PostgreSQL, compressed


@dataclass(frozen=True, slots=True)
class Described:
    """The definition of a collection."""

    edge: bool
    properties: Mapping[str, Any]
    indexes: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Pages:
    """Some documents in key order. last: there are no more; limit: how many to request next."""

    documents: Sequence[Document]
    last: bool
    limit: int


class ArchiveSource(Protocol):
    """A database that documents are read from. Collections are 'database/name'."""

    async def origin(self) -> ArchiveOrigin: ...

    async def collections(self, pattern: str) -> list[str]:
        """Return the collections that match a pattern 'database/*'."""
        ...

    async def describe(self, collection: str) -> Described: ...

    async def count(self, collection: str) -> int: ...

    async def page(self, collection: str, after: str, limit: int) -> Pages: ...


class FromArango:
    """ArangoDB, with Crossfade's own account."""

    def __init__(self, server: ArangoServer, source: ArangoSource) -> None:
        self._server = server
        self._source = source

    async def origin(self) -> ArchiveOrigin:
        return ArchiveOrigin(kind="arangodb", at=self._server.at, version=await self._server.version())

    async def collections(self, pattern: str) -> list[str]:
        wanted, _, _ = pattern.partition("/")
        found = []
        for database in await self._server.databases() if "*" in wanted else [wanted]:
            found += [f"{database}/{name}" for name in await self._server.collections(database)]
        return [name for name in found if fnmatch.fnmatchcase(name, pattern)]

    async def describe(self, collection: str) -> Described:
        database, _, name = collection.partition("/")
        properties = await self._server.properties(database, name)
        indexes = await self._server.indexes(database, name)
        for volatile in ("code", "error", "globallyUniqueId", "id", "status", "statusString"):
            properties.pop(volatile, None)
        return Described(properties.get("type") == EDGE, properties, tuple(indexes))

    async def count(self, collection: str) -> int:
        database, _, name = collection.partition("/")
        return await self._source.count(database, name)

    async def page(self, collection: str, after: str, limit: int) -> Pages:
        database, _, name = collection.partition("/")
        page = await self._source.page(database, name, after, None, limit or FIRST_PAGE)
        return Pages(page.documents, page.last, next_limit(page.limit, len(page.documents), page.bytes))


class FromPostgres:
    """The document tables. at: host, port and database."""

    def __init__(self, database: Database, dsn: str) -> None:
        self._database = database
        self._at = address(dsn)
        self._relations: dict[str, str] = {}

    async def origin(self) -> ArchiveOrigin:
        version = await self._database.fetchval(sql.server.VERSION_NAME)
        return ArchiveOrigin(kind="postgresql", at=self._at, version=version)

    async def collections(self, pattern: str) -> list[str]:
        rows = await self._database.fetch(sql.collections.ALL)
        return [row.collection for row in rows if fnmatch.fnmatchcase(row.collection, pattern)]

    async def describe(self, collection: str) -> Described:
        row = await self._database.fetchrow(sql.collections.FIND, collection)
        if row is None:
            raise ArchiveError(f"PostgreSQL has no table for {collection}: see `crossfade status`")
        self._relations[collection] = row.relation
        return Described(row.edge, {}, ())

    async def count(self, collection: str) -> int:
        return await self._database.fetchval(sql.store.COUNT.on(await self._relation(collection)))

    async def page(self, collection: str, after: str, limit: int) -> Pages:
        most = min(limit or FIRST_PAGE, PAGE_DOCUMENTS)
        statement = sql.archive.PAGE.on(await self._relation(collection))
        rows = await self._database.fetch(statement, after, most, _STORED_BYTES)
        documents = [Document(row.key, row.rev, row.raw.encode()) for row in rows]
        size = sum(len(document.raw) for document in documents)
        # a short page may have been limited by its size: only an empty page is the end
        return Pages(documents, not documents, next_limit(most, len(documents), size, wanted=PAGE_BYTES))

    async def _relation(self, collection: str) -> str:
        if collection not in self._relations:
            await self.describe(collection)
        return self._relations[collection]


def address(url: str) -> str:
    """Return host, port and path of a URL or DSN, without account and options."""
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2] + parts.path.rstrip("/")
