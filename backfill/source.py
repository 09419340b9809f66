"""Reads the origin for the backfill: pages in key order, documents, counts. The only module that imports python-arango.

python-arango is synchronous, so every request runs in a thread of this module's own pool. It would parse responses into
dictionaries, but documents must stay the bytes that ArangoDB printed (DESIGN section 6, "Fidelity"). So the driver is
used for accounts, sessions and connections, and the response bodies are kept as received.

Every request here only reads, so it can be repeated: if the origin does not answer, the request is retried with
increasing pauses until `retry_seconds` have passed.

Order: ArangoDB's primary index is ordered by the bytes of `_key` on a single server (protocol page, section 10). The
order of every page is checked, since a page in another order could silently skip documents. A cluster's coordinator
merges in another order; there each shard is read separately, and the pages are merged here by bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar
from urllib.parse import quote

import msgspec
from arango.client import ArangoClient
from arango.database import StandardDatabase
from arango.http import DefaultHTTPClient
from arango.request import Request
from arango.response import Response

from backfill.key_ranges import KeyRange, smaller_limit
from backfill.origin_pages import (
    COUNT,
    DOCUMENTS,
    KEYS,
    PAIRS,
    ROLE,
    SHARDS,
    Document,
    Page,
    RevisionPage,
    check_order,
    decode,
    document,
    elements,
    merged,
    merged_revisions,
    revision,
)
from proxy.base.errors import ArangoError, ConfigurationError, CrossfadeError, UpstreamError, UpstreamOutcomeUnknown
from proxy.model.error_body import ErrorBody, decode_error

T = TypeVar("T")

GONE: Final = 1203  # "collection or view not found"
MOST_BYTES: Final = (
    32 << 20
)  # a larger response is not read but requested in smaller parts; a single document is always read
_LIMIT_HEADER: Final = "x-crossfade-limit"  # between `_ask` and `_ByteClient` only, never sent
_TRY_AGAIN: Final = frozenset({429, 502, 503, 504})
_TRY_AGAIN_NUMBERS: Final = frozenset({21004, 1429, 1495, 503})
_LONGEST_PAUSE: Final = 5.0

_PAGE = "FOR d IN @@c FILTER d._key > @after{upper} SORT d._key LIMIT @n RETURN d"
_REVISIONS = "FOR d IN @@c FILTER d._key > @after{upper} SORT d._key LIMIT @n RETURN [d._key, d._rev]"
_STEP = "FOR d IN @@c FILTER d._key > @after SORT d._key LIMIT @skip, 1 RETURN d._key"
_NO_DUMPS: Final = frozenset({400, 404, 405, 501})
_UPPER = " AND d._key <= @upper"
_REVISIONS_OF = "FOR d IN @@c FILTER d._key IN @keys RETURN [d._key, d._rev]"


class _TooLarge(CrossfadeError):
    def __init__(self, size: int) -> None:
        super().__init__(f"{size} bytes")
        self.size = size


class _ByteResponse(Response):
    """python-arango's response, which has only text, with the body as bytes."""

    __slots__ = ("content",)

    def __init__(self, method: str, answer: Any) -> None:
        super().__init__(method, str(answer.url), answer.headers, answer.status_code, answer.reason, "")
        self.content: bytes = answer.content


class _ByteClient(DefaultHTTPClient):
    """python-arango's HTTP client, but keeping response bodies as bytes and not reading bodies above the limit."""

    def create_session(self, host: str) -> Any:
        session = super().create_session(host)
        session.trust_env = False  # ignore HTTP proxies configured in the environment
        return session

    def send_request(self, session: Any, method: str, url: str, *args: Any, **kwargs: Any) -> Response:
        headers = kwargs.get("headers") or {}
        limit = int(headers.pop(_LIMIT_HEADER, "0"))
        with session.request(method, url, *args, **kwargs, timeout=self.request_timeout, stream=True) as answer:
            size = int(answer.headers.get("content-length", "0"))
            if limit and size > limit:
                raise _TooLarge(size)
            return _ByteResponse(method, answer)


class ArangoSource:
    """ArangoDB at one URL with one account. Coroutine-safe; `close()` when done.

    threads: concurrent requests. timeout: seconds for a response. retry_seconds: as long as requests are retried.
    Every method raises ArangoError (1203 if the collection does not exist), UpstreamError if the origin does not
    answer, ConfigurationError if it refuses the account.
    """

    def __init__(
        self,
        url: str,
        user: str,
        password: str,
        *,
        threads: int = 4,
        timeout: float = 60.0,
        retry_seconds: float = 60.0,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self._url = url.rstrip("/")
        self._user = user
        self._password = password
        self._retry_seconds = retry_seconds
        self._most_bytes = most_bytes
        http = _ByteClient(request_timeout=timeout, retry_attempts=0, pool_maxsize=threads)
        self._client = ArangoClient(hosts=self._url, http_client=http, resolver_max_tries=1)
        self._databases: dict[str, StandardDatabase] = {}
        self._role: str | None = None
        self._shards: dict[tuple[str, str], tuple[str, ...]] = {}
        self._pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="crossfade-origin")

    async def close(self) -> None:
        """Wait for running requests, then close the connections."""
        await asyncio.to_thread(self._pool.shutdown, wait=True, cancel_futures=True)
        self._client.close()

    async def page(self, database: str, collection: str, after: str, upper: str | None, limit: int) -> Page:
        """Return complete documents with keys in (`after`, `upper`]; fewer than `limit` if they would be too large."""

        def ask(size: int, shard: str | None) -> Page:
            body = self._query(database, collection, _PAGE, KeyRange(after, upper), size, shard)
            answer = decode(DOCUMENTS, body)
            self._forget_cursor(database, answer.id)
            documents = tuple(map(document, answer.result))
            check_order([one.key for one in documents], after, upper, f"{database}/{collection}")
            volume = sum(len(one.raw) for one in documents)
            return Page(documents, volume, last=len(documents) < size and not answer.more, limit=size)

        pages = await self._of_shards(database, collection, limit, ask)
        return pages[0] if len(pages) == 1 else merged(pages, limit, f"{database}/{collection}")

    async def revisions(
        self, database: str, collection: str, after: str, upper: str | None, limit: int
    ) -> RevisionPage:
        """Return key and revision of at most `limit` documents with keys in (`after`, `upper`]."""

        def ask(size: int, shard: str | None) -> RevisionPage:
            body = self._query(database, collection, _REVISIONS, KeyRange(after, upper), size, shard)
            answer = decode(PAIRS, body)
            self._forget_cursor(database, answer.id)
            entries = tuple([(key, revision(rev)) for key, rev in answer.result])
            check_order([key for key, _ in entries], after, upper, f"{database}/{collection}")
            return RevisionPage(entries, last=len(entries) < size and not answer.more)

        pages = await self._of_shards(database, collection, limit, ask)
        return pages[0] if len(pages) == 1 else merged_revisions(pages, f"{database}/{collection}")

    async def _of_shards(
        self, database: str, collection: str, limit: int, ask: Callable[[int, str | None], T]
    ) -> list[T]:
        shards = await self.shards(database, collection)
        if len(shards) < 2:
            return [await self._fitting(lambda size: ask(size, None), limit)]
        size = max(1, limit // len(shards))

        async def one(shard: str) -> T:
            return await self._fitting(lambda part: ask(part, shard), size)

        return list(await asyncio.gather(*map(one, shards)))

    async def shards(self, database: str, collection: str) -> tuple[str, ...]:
        """Return the shards of a collection on a cluster, sorted; none on a single server. The result is cached."""
        if self._role is None:
            self._role = await self._retried(self._ask_role)
        if self._role != "COORDINATOR":
            return ()
        known = self._shards.get((database, collection))
        if known is None:
            path = f"/_api/collection/{quote(collection, safe='')}/shards"
            known = tuple(sorted(await self._retried(lambda: decode(SHARDS, self._ask(database, "get", path)).shards)))
            self._shards[database, collection] = known
        return known

    def _ask_role(self) -> str:
        try:
            return decode(ROLE, self._ask("_system", "get", "/_admin/server/role")).role
        except (ArangoError, ConfigurationError):
            return "UNDEFINED"  # not readable for this account, or not offered: page order is checked anyway

    async def step(self, database: str, collection: str, after: str, skip: int) -> str | None:
        """Return the `skip`-th key after `after`, or None if there are fewer. Reads the key index, not the documents.

        On a cluster only one shard is read, which holds an even share of the keys: accurate enough to cut ranges.
        """
        shards = await self.shards(database, collection)
        bind = {"@c": collection, "after": after, "skip": max(0, skip // max(1, len(shards)) - 1)}
        body: dict[str, object] = {"query": _STEP, "bindVars": bind}
        if len(shards) > 1:
            body["options"] = {"shardIds": [shards[0]]}
        keys = await self._retried(lambda: decode(KEYS, self._ask(database, "post", "/_api/cursor", body)).result)
        check_order(keys, after, None, f"{database}/{collection}")
        return keys[0] if keys else None

    async def revisions_of(self, database: str, collection: str, keys: Sequence[str]) -> dict[str, int]:
        """Return the revisions of these keys, without those that the origin does not have."""
        bind = {"@c": collection, "keys": list(keys)}
        body = {"query": _REVISIONS_OF, "bindVars": bind, "batchSize": max(1, len(keys))}

        def ask() -> dict[str, int]:
            answer = decode(PAIRS, self._ask(database, "post", "/_api/cursor", body))
            if answer.more:
                self._forget_cursor(database, answer.id)
                raise UpstreamOutcomeUnknown(f"ArangoDB answered for only some of {len(keys)} keys")
            return {key: revision(rev) for key, rev in answer.result}

        return await self._retried(ask) if keys else {}

    async def sample_keys(self, database: str, collection: str, count: int, wanted: int) -> list[str]:
        """Return about `wanted` keys, in order, evenly spread over a collection of about `count` documents.

        Each is found by skipping in the primary index from the previous one: no document is read.
        """
        if wanted < 1 or count <= wanted:
            return []
        step = count // (wanted + 1)  # each key is the last one of its chunk
        found: list[str] = []
        while len(found) < wanted:
            key = await self.step(database, collection, found[-1] if found else "", step)
            if key is None:
                break
            found.append(key)
        return found

    async def count(self, database: str, collection: str) -> int:
        """Return the number of documents that the origin reports."""
        path = f"/_api/collection/{quote(collection, safe='')}/count"
        return await self._retried(lambda: decode(COUNT, self._ask(database, "get", path)).count)

    async def read(self, database: str, collection: str, keys: Sequence[str]) -> Mapping[str, bytes | None]:
        """Return the documents of these keys as ArangoDB printed them; None for a missing document."""
        return {
            key: found.raw if found else None for key, found in (await self.lookup(database, collection, keys)).items()
        }

    async def lookup(self, database: str, collection: str, keys: Sequence[str]) -> dict[str, Document | None]:
        """Like `read`, with revisions. Requests whose response would be too large are halved."""
        path = f"/_api/document/{quote(collection, safe='')}"

        def ask(part: Sequence[str]) -> dict[str, Document | None]:
            bound = self._most_bytes if len(part) > 1 else 0
            try:
                body = self._ask(database, "put", path, list(part), params={"onlyget": "true"}, bound=bound)
            except _TooLarge:
                half = len(part) // 2
                return {**ask(part[:half]), **ask(part[half:])}
            return elements(body, part)

        return await self._retried(lambda: ask(keys)) if keys else {}

    # ---- dumps (protocol page, section 10): one snapshot, unordered, cannot be resumed

    async def begin_dump(self, database: str, shard: str, size: int) -> str | None:
        """Start a dump of one shard in batches of about `size` bytes; return its id, or None if not supported."""
        if await self.shards(database, shard):
            return None  # a coordinator needs the server of each shard as a parameter: read pages instead
        body = {"shards": [shard], "batchSize": size, "docsPerBatch": 1_000, "parallelism": 2, "prefetchCount": 2}

        def ask() -> str | None:
            try:
                response = self._send(database, "post", "/_api/dump/start", {**body, "ttl": 600.0})
            except ArangoError as error:
                if error.status in _NO_DUMPS and error.number != GONE:
                    return None
                raise
            return str(response.headers.get("x-arango-dump-id") or "") or None

        return await self._retried(ask)

    async def next_of_dump(self, database: str, dump: str, batch: int) -> tuple[Document, ...] | None:
        """Return the documents of a batch (from 1), or None after the last. This releases the previous batch."""
        params = {"batchId": str(batch)} | ({"lastBatch": str(batch - 1)} if batch > 1 else {})

        def ask() -> tuple[Document, ...] | None:
            response = self._send(database, "post", f"/_api/dump/next/{quote(dump, safe='')}", params=params)
            if response.status_code == 204:
                return None
            return tuple([document(line) for line in response.content.split(b"\n") if line])

        return await self._retried(ask)

    async def end_dump(self, database: str, dump: str) -> None:
        """Release the snapshot on the server. If that fails, the server releases it when its lifetime ends."""

        def ask() -> None:
            with contextlib.suppress(ArangoError, UpstreamError):
                self._ask(database, "delete", f"/_api/dump/{quote(dump, safe='')}")

        await asyncio.get_running_loop().run_in_executor(self._pool, ask)

    # ---- one request

    async def _fitting(self, ask: Callable[[int], T], limit: int) -> T:
        size = limit
        while True:
            try:
                return await self._retried(functools.partial(ask, size))
            except _TooLarge as large:
                size = smaller_limit(size, large.size, self._most_bytes)

    async def _retried(self, ask: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        until = time.monotonic() + self._retry_seconds
        pause = 0.1
        while True:
            try:
                return await loop.run_in_executor(self._pool, ask)
            except UpstreamError:
                if time.monotonic() + pause > until:
                    raise
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _query(self, database: str, collection: str, text: str, span: KeyRange, n: int, shard: str | None) -> bytes:
        bind: dict[str, object] = {"@c": collection, "after": span.lower, "n": n}
        if span.upper is not None:
            bind["upper"] = span.upper
        query = text.format(upper="" if span.upper is None else _UPPER)
        body: dict[str, object] = {"query": query, "bindVars": bind, "batchSize": n}
        if shard is not None:
            body["options"] = {"shardIds": [shard]}
        return self._ask(database, "post", "/_api/cursor", body, bound=self._most_bytes if n > 1 else 0)

    def _forget_cursor(self, database: str, cursor: str) -> None:
        # a server that returns smaller batches than requested keeps a cursor; the next page reads the rest
        if cursor:
            self._ask(database, "delete", f"/_api/cursor/{quote(cursor, safe='')}")

    def _ask(self, database: str, method: str, path: str, body: object = None, **options: Any) -> bytes:
        """Send one request; return the body of its successful response."""
        return self._send(database, method, path, body, **options).content

    def _send(self, database: str, method: str, path: str, body: object = None, **options: Any) -> _ByteResponse:
        """Send one request; raise unless it succeeds. options: `params`; `bound`: bytes of the largest body to read."""
        data = msgspec.json.encode(body).decode() if body is not None else None
        bound: int = options.get("bound", 0)
        headers = {_LIMIT_HEADER: str(bound)} if bound else {}
        request = Request(method, path, dict(headers), options.get("params"), data, deserialize=False)
        try:
            response = self._database(database).conn.send_request(request)
        except OSError as error:  # the errors of python-arango's transport are OSErrors
            raise UpstreamOutcomeUnknown(f"ArangoDB at {self._url} did not answer: {error}") from error
        assert isinstance(response, _ByteResponse)
        if 200 <= response.status_code < 300:
            return response
        raise self._error(response.status_code, response.content)

    def _error(self, status: int, content: bytes) -> CrossfadeError:
        try:
            error = decode_error(content)
        except msgspec.MsgspecError:
            error = ErrorBody(message=content[:200].decode("utf-8", "replace"))
        if status in _TRY_AGAIN or error.number in _TRY_AGAIN_NUMBERS:
            return UpstreamOutcomeUnknown(f"ArangoDB at {self._url} answered {status}: {error.message}")
        if status in (401, 403):
            return ConfigurationError(
                f"ArangoDB at {self._url} refuses the account {self._user!r} ({error.message}): "
                "set CROSSFADE_ORIGIN_USER and CROSSFADE_ORIGIN_PASSWORD"
            )
        return ArangoError(error.number or status, error.message or None, status=status)

    def _database(self, name: str) -> StandardDatabase:
        found = self._databases.get(name)
        if found is None:
            found = self._client.db(quote(name, safe=""), username=self._user, password=self._password)
            self._databases[name] = found
        return found
