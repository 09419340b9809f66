"""Reads both databases directly, in key order, and compares them document by document.

The checksum of a side is that of archives and of the migration report (`backfill.checksum`), of the documents as each
database prints them. Two documents that are printed differently, as `1` and `1.0` are, may be equal all the same.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import sql
from backfill import checksum
from backfill.key_ranges import FIRST_PAGE, PAGE_BYTES, PAGE_DOCUMENTS, next_limit
from backfill.origin_pages import Document
from backfill.source import ArangoSource
from proxy.base.database import Database, Session
from proxy.model import json_reader

SHOWN: Final = 20  # keys of different documents
_STORED_BYTES: Final = 1 << 20  # of a page, as PostgreSQL stores it
_PAUSE: Final = 0.3  # seconds between two looks at documents that are different
_LOOKS: Final = 3  # at least
_MOST: Final = 100_000  # different documents that are looked at again


@dataclass(frozen=True, slots=True)
class Side:
    """What one database has of a collection."""

    documents: int = 0
    checksum: str = checksum.EMPTY


@dataclass(frozen=True, slots=True)
class Compared:
    """Both sides of one collection.

    different: keys of documents that only one side has, or that are not equal, with what is different; there are
    `number` of them, of which some may not be named. reprinted: equal documents that are printed differently.
    """

    collection: str
    postgresql: Side = field(default_factory=Side)
    arangodb: Side = field(default_factory=Side)
    number: int = 0
    different: tuple[tuple[str, str], ...] = ()
    reprinted: int = 0

    @property
    def equal(self) -> bool:
        """True if each side has the documents of the other."""
        if self.number or self.postgresql.documents != self.arangodb.documents:
            return False
        return bool(self.reprinted) or self.postgresql.checksum == self.arangodb.checksum


def difference(postgresql: bytes | None, arangodb: bytes | None) -> str:
    """Return what is different between two printed documents; empty if they are equal. None: there is none. Pure."""
    if postgresql == arangodb:
        return ""
    if postgresql is None:
        return "only in ArangoDB"
    if arangodb is None:
        return "only in PostgreSQL"
    mine, theirs = json_reader.load(postgresql), json_reader.load(arangodb)
    if _same(mine, theirs):
        return ""
    return "another revision" if mine.get("_rev") != theirs.get("_rev") else "other content"


def _same(mine: object, theirs: object) -> bool:
    """Return True for equal values of JSON; `true` is not 1, as it is for Python."""
    if isinstance(mine, dict) and isinstance(theirs, dict):
        return mine.keys() == theirs.keys() and all(_same(mine[name], theirs[name]) for name in mine)
    if isinstance(mine, list) and isinstance(theirs, list):
        return len(mine) == len(theirs) and all(map(_same, mine, theirs))
    if isinstance(mine, bool) or isinstance(theirs, bool):
        return mine is theirs
    return mine == theirs


async def compare(session: Session, relation: str, source: ArangoSource, collection: str) -> Compared:
    """Compare a table, as the session sees it, with a collection of ArangoDB (`database/name`).

    Raise DatabaseError, ArangoError, UpstreamError.
    """
    ours, theirs = _of_table(session, relation), _of_origin(source, collection)
    left, right = await anext(ours, None), await anext(theirs, None)
    sums, counts = [0, 0], [0, 0]
    different: list[tuple[str, str]] = []
    reprinted = 0
    while left is not None or right is not None:
        key = min(one.key for one in (left, right) if one is not None)
        mine = left if left is not None and left.key == key else None
        other = right if right is not None and right.key == key else None
        for side, document in enumerate((mine, other)):
            if document is not None:
                counts[side] += 1
                sums[side] += int.from_bytes(hashlib.sha256(document.raw).digest())
        raws = (None if mine is None else mine.raw, None if other is None else other.raw)
        if raws[0] != raws[1]:
            what = difference(*raws)
            reprinted += not what
            if what:
                different.append((key, what))
        left = await anext(ours, None) if mine is not None else left
        right = await anext(theirs, None) if other is not None else right
    sides = [Side(count, checksum.text(total)) for count, total in zip(counts, sums, strict=True)]
    return Compared(collection, sides[0], sides[1], len(different), tuple(different), reprinted)


async def compare_live(
    database: Database, relation: str, source: ArangoSource, collection: str, *, seconds: float
) -> Compared:
    """Compare both while clients write. What is different is looked at again, until it is equal or for that long.

    Of a document that is written all the time ArangoDB has an earlier version at each look: it is carried if that is
    not older than what PostgreSQL had at an earlier look. Counts and checksums are those of the first look. Raise
    DatabaseError, ArangoError, UpstreamError.
    """
    async with database.session() as session, session.transaction(isolation="repeatable_read", readonly=True):
        found = await compare(session, relation, source, collection)
    name, _, rest = collection.partition("/")
    still = dict(found.different)
    until = time.monotonic() + seconds
    earlier: dict[str, int] = {}  # PostgreSQL's revision at the first look again
    looks = 0
    while still and len(still) <= _MOST and (looks < _LOOKS or time.monotonic() < until):
        looks += 1
        await asyncio.sleep(_PAUSE)
        keys = list(still)
        rows = await database.fetch(sql.archive.BY_KEYS.on(relation), keys)
        mine = {row.key: Document(row.key, row.rev, row.raw.encode()) for row in rows}
        theirs = await source.lookup(name, rest, keys)
        still = {key: what for key in keys if (what := _still(mine.get(key), theirs.get(key), earlier.get(key)))}
        for key, document in mine.items():
            earlier.setdefault(key, document.rev)
    return replace(found, number=len(still), different=tuple(still.items()))


def _still(mine: Document | None, theirs: Document | None, earlier: int | None) -> str:
    """Return what is different, unless ArangoDB has at least the version that PostgreSQL had earlier, and gets more."""
    what = difference(None if mine is None else mine.raw, None if theirs is None else theirs.raw)
    if mine is not None and theirs is not None and earlier is not None and earlier <= theirs.rev < mine.rev:
        return ""
    return what


async def _of_table(session: Session, relation: str) -> AsyncGenerator[Document, None]:
    statement = sql.archive.PAGE.on(relation)
    after, limit = "", FIRST_PAGE
    while True:
        rows = await session.fetch(statement, after, min(limit, PAGE_DOCUMENTS), _STORED_BYTES)
        if not rows:
            return
        page = [Document(row.key, row.rev, row.raw.encode()) for row in rows]
        for document in page:
            yield document
        after, limit = page[-1].key, next_limit(limit, len(page), _size(page), wanted=PAGE_BYTES)


async def _of_origin(source: ArangoSource, collection: str) -> AsyncGenerator[Document, None]:
    database, _, name = collection.partition("/")
    after, limit = "", FIRST_PAGE
    while True:
        page = await source.page(database, name, after, None, limit)
        for document in page.documents:
            yield document
        if page.last:
            return
        after, limit = page.documents[-1].key, next_limit(page.limit, len(page.documents), page.bytes)


def _size(documents: Sequence[Document]) -> int:
    return sum(len(document.raw) for document in documents)
