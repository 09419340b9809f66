"""The documents that a query asks for, from the snapshot of one session, without a fence and without a limit.

A scan of many documents is read page by page from a cursor of PostgreSQL, so that memory holds one page of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from operator import itemgetter
from typing import Any, Final

from proxy.aql.requests import Action, DocumentPage, Fetch, NextPage, Pause
from proxy.base.database import Session
from proxy.base.errors import Unsupported
from proxy.model import json_reader
from proxy.stores.postgres.catalog import Catalog
from proxy.stores.postgres.fetching import counted
from proxy.stores.postgres.scan_choice import ordered_scan_of, scan_of

Document = dict[str, Any]
PAGE: Final = 1 << 20  # bytes of documents in a page, nearly
_EACH: Final = 512  # bytes that a document takes beside its text, nearly
_PARSED: Final = 64 << 10  # bytes that are parsed between two turns of the event loop
_ROWS: Final = 1000  # of one round trip, at most


class PagedScan:
    """The documents of a fetch in the order of keys, as stored. It lives as long as its transaction."""

    def __init__(self, rows: AsyncGenerator[str, None]) -> None:
        self._rows = rows
        self.ended = False

    async def take(self, size: int) -> list[bytes]:
        """Return documents of about `size` bytes; fewer at the end."""
        found: list[bytes] = []
        while size > 0 and not self.ended:
            raw = await anext(self._rows, None)
            if raw is None:
                self.ended = True
                break
            found.append(raw.encode())
            size -= len(raw) + _EACH
        return found

    async def close(self) -> None:
        """Drop the rest."""
        self.ended = True
        await self._rows.aclose()


class SnapshotReads:
    """Answers the requests of one query. page: bytes of documents in a page, nearly."""

    def __init__(self, session: Session, catalog: Catalog, database: str, page: int | None = None) -> None:
        self._session = session
        self._catalog = catalog
        self._database = database
        self._page = page or PAGE
        self._scans: list[PagedScan] = []

    async def close(self) -> None:
        """Close the scans that the query has not read to their end."""
        for scan in self._scans:
            await scan.close()

    async def answer(self, action: Action) -> list[Document] | DocumentPage | int | None:
        """Return the answer to a request that writes nothing. Raise ArangoError, Unsupported, DatabaseError."""
        if isinstance(action, Pause):
            await asyncio.sleep(0)
            return None
        if isinstance(action, NextPage):
            return await self.next_page(action)
        if not isinstance(action, Fetch):
            raise Unsupported("AQL modification on PostgreSQL")
        relation = (await self._catalog.find(f"{self._database}/{action.collection}")).relation
        if action.count:
            return await counted(self._session, relation, None)
        if action.paged:
            scan = self.scan(relation, action)
            return await self._following(scan, await scan.take(self._page))
        documents = await parsed_documents(await self.raws(relation, action))
        documents.sort(key=itemgetter("_key"))  # in the order of compiled statements
        return documents

    def scan(self, relation: str, fetch: Fetch) -> PagedScan:
        """Begin to read a fetch page by page."""
        scan = ordered_scan_of(fetch.collection, fetch.equalities, fetch.keys)
        values = () if scan.value is None else (scan.value,)
        rows = self._session.cursor(scan.statement.on(relation), *values, prefetch=_ROWS, most=self._page)
        opened = PagedScan(rows)
        self._scans.append(opened)
        return opened

    async def raws(self, relation: str, fetch: Fetch) -> list[bytes]:
        """Return all documents of a fetch, and perhaps others, in any order."""
        scan = scan_of(fetch.collection, fetch.equalities, fetch.keys, fetch.among)
        parameters: tuple[object, ...] = (None, None)
        if scan.value is not None:
            parameters += (scan.value,)
        rows = self._session.cursor(scan.statement.on(relation), *parameters, prefetch=_ROWS, most=self._page)
        return [raw.encode() async for _, raw in rows if raw is not None]

    async def next_page(self, action: NextPage) -> list[Document] | DocumentPage:
        """Return the documents that follow a page."""
        scan = action.token
        assert isinstance(scan, PagedScan)
        return await self._following(scan, await scan.take(self._page))

    async def _following(self, scan: PagedScan, raws: Sequence[bytes]) -> list[Document] | DocumentPage:
        documents = await parsed_documents(raws)
        if not scan.ended:
            return DocumentPage(documents, scan)
        self._scans.remove(scan)
        await scan.close()
        return documents


async def parsed_documents(raws: Sequence[bytes]) -> list[Document]:
    """Parse documents; the event loop runs between two pieces."""
    found: list[Document] = []
    size = 0
    for raw in raws:
        found.append(json_reader.load(raw))
        size += len(raw)
        if size > _PARSED:
            size = 0
            await asyncio.sleep(0)
    return found
