"""What a transaction has read of one collection, all of it by one snapshot. Pure."""

from __future__ import annotations

import asyncio
from collections.abc import Container, Hashable, Iterable, Sequence
from typing import Any, Final

from proxy.aql.requests import Fetch
from proxy.model import json_reader
from proxy.model.documents import valid_key
from proxy.stores.postgres.modifications.value_index import Paths, ValueIndex, paths_of, values_of

Document = dict[str, Any]
KNOWN: Final = 12 << 20  # bytes of documents that a query of any size may keep
EACH: Final = 512  # bytes that a document takes beside its text, nearly
_ABSENT: Final = 20_000  # keys without a document, likewise
_PAUSE: Final = 100  # documents that are parsed between two turns of the event loop


class KnownDocuments:
    """Documents by key, the keys that have none, and the fetches that are answered by them.

    raws: documents as stored. assumed: keys that are taken to have none, without having been looked up. contradicted:
    those of them that were found to have one. doubted: keys that a former run assumed; they are not assumed again, even
    if what was read of them since has been forgotten. size: bytes of the documents, nearly. added: the keys of those
    that the present run has not looked at yet.
    """

    def __init__(self, doubted: Iterable[str] = ()) -> None:
        self.doubted = set(doubted)
        self.raws: dict[str, bytes] = {}
        self.assumed: set[str] = set()
        self.size = 0
        self.added: list[str] = []
        self.contradicted: set[str] = set()
        self._parsed: dict[str, Document] = {}
        self._absent: set[str] = set()
        self._complete = False  # every document of the collection is known
        self._found: dict[Hashable, list[str]] = {}
        self._indexes: dict[Paths, ValueIndex] = {}  # of a complete collection

    def __contains__(self, key: object) -> bool:
        """Return True if it is known which document has the key, or that none has it."""
        return self._complete or key in self.raws or key in self._absent or key in self.assumed

    def document(self, key: str) -> Document:
        """Return a document that is known, parsed."""
        found = self._parsed.get(key)
        if found is None:
            found = self._parsed[key] = json_reader.load(self.raws[key])
        return found

    def assume_absent(self, key: str) -> None:
        """Take a key to have no document. The statement that writes it must find out."""
        if key not in self:
            self.assumed.add(key)

    def doubt_assumed(self) -> None:
        """Assume nothing any more of what was assumed: the run is repeated."""
        self.doubted |= self.assumed
        self.assumed.clear()

    def find(self, fetch: Fetch) -> Iterable[str] | None:
        """Return the keys of the documents of a fetch, and perhaps of others; None if it must be read first."""
        if fetch.keys is not None:
            wanted = dict.fromkeys(fetch.keys)
            if not all(key in self or not valid_key(key) for key in wanted):
                return None
            return [key for key in wanted if key in self.raws]
        if self._complete:
            return self._indexed(paths_of(fetch)).find(values_of(fetch)) if fetch.equalities else self.raws
        return self._found.get(_identity(fetch))

    async def add_fetch(self, fetch: Fetch, raws: Sequence[bytes]) -> None:
        """Add what was read for a fetch."""
        keys = await self._add_all(raws)
        if fetch.keys is not None:
            self._absent.update(key for key in fetch.keys if key not in self.raws)
            self.assumed.difference_update(fetch.keys)
        elif fetch.equalities or fetch.among is not None:
            self._found[_identity(fetch)] = keys
        else:
            self._complete = True
            self.assumed.clear()

    async def add_fetches(self, fetches: Sequence[Fetch], raws: Sequence[bytes]) -> None:
        """Add what was read for several fetches by equalities together."""
        keys = await self._add_all(raws)
        indexes: dict[Paths, ValueIndex] = {}
        for fetch in fetches:
            paths = paths_of(fetch)
            if paths not in indexes:
                indexes[paths] = self._index(paths, keys)
            self._found[_identity(fetch)] = list(indexes[paths].find(values_of(fetch)))

    async def _add_all(self, raws: Sequence[bytes]) -> list[str]:
        """Add documents; the event loop runs between two pieces."""
        keys = []
        for place, raw in enumerate(raws):
            keys.append(self._add(raw))
            if place % _PAUSE == _PAUSE - 1:
                await asyncio.sleep(0)
        return keys

    def _add(self, raw: bytes) -> str:
        document = json_reader.load(raw)
        key: str = document["_key"]
        if key not in self.raws:
            self.raws[key] = raw
            self.size += len(raw) + EACH
            self.added.append(key)
            if key in self.assumed:
                self.contradicted.add(key)
        self._parsed.setdefault(key, document)
        return key

    def take_written(self, key: str, raw: bytes | None) -> None:
        """Take note that PostgreSQL has this version of a document now, or none any more.

        It is kept if not too much is.
        """
        self._forget(key)
        if self.size > KNOWN or len(self._absent) > _ABSENT:
            self._complete = False
            self._found.clear()
            self._indexes.clear()
        else:
            self.keep_written(key, raw)

    def keep_written(self, key: str, raw: bytes | None) -> None:
        """Take note that PostgreSQL has this version, however much is kept: a further write of the document waits."""
        self._forget(key)
        if raw is None:
            self._absent.add(key)
        else:
            self.raws[key] = raw
            self.size += len(raw) + EACH
        self._found.clear()
        self._indexes.clear()

    def forget_all_but(self, keys: Container[str]) -> None:
        """Forget what was read, except the documents of these keys."""
        for key in [key for key in self.raws if key not in keys]:
            self._forget(key)
        self._absent = {key for key in self._absent if key in keys}
        self._complete = False
        self._found.clear()
        self._indexes.clear()

    def _forget(self, key: str) -> None:
        raw = self.raws.pop(key, None)
        if raw is not None:
            self.size -= len(raw) + EACH
        self._parsed.pop(key, None)
        self._absent.discard(key)
        self.assumed.discard(key)

    def _indexed(self, paths: Paths) -> ValueIndex:
        found = self._indexes.get(paths)
        if found is None:
            found = self._indexes[paths] = self._index(paths, self.raws)
        return found

    def _index(self, paths: Paths, keys: Iterable[str]) -> ValueIndex:
        index = ValueIndex(paths)
        for key in keys:
            index.add(key, self.document(key))
        return index


def _identity(fetch: Fetch) -> Hashable:
    return paths_of(fetch), values_of(fetch), fetch.among
