"""The newest document versions of the origin, read from its write-ahead log or by scanning for recent revisions.

A single server offers `/_api/wal/tail` (protocol page, section 9) to an account that may administrate `_system`. Its
markers are complete documents, of which only key and revision are used. If the log is not available (a cluster answers
501), each read scans the collections for revisions newer than the last read, by DECODE_REV and the origin's clock.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol
from urllib.parse import quote

import msgspec

from proxy.base.errors import ArangoError, UpstreamOutcomeUnknown
from proxy.model.error_body import ErrorBody, decode_error
from proxy.model.message import Request, Response
from proxy.model.revision import decode_rev
from proxy.stores.arango import Requester

_CHUNK: Final = 4 << 20  # bytes of one response
_SYNCER: Final = 1128421190  # keeps the origin's log files while the watch reads them
_PUT, _REMOVE = 2300, 2302
_NAMING: Final = frozenset({1100, 1101, 2000, 2001, 2002})  # databases or collections are created, dropped or renamed
_GONE: Final = frozenset({1203, 1228})
_MARGIN: Final = 10_000  # milliseconds by which revisions may be ahead of the clock
_MOST: Final = 20_000  # documents that one scan of a collection returns at most
_SCAN: Final = (
    "LET now = DATE_NOW() LET found = (FOR d IN @@c FILTER DECODE_REV(d._rev).date >= DATE_ISO8601(@since) LIMIT @most "
    "RETURN [d._key, d._rev]) RETURN { now, found }"
)


@dataclass(frozen=True, slots=True)
class LoggedVersion:
    """One version that the origin has. rev: the document's revision; for a removal, the removed revision."""

    collection: str
    key: str
    rev: int
    removed: bool


@dataclass(frozen=True, slots=True)
class LogPage:
    """The result of one read.

    lost: some versions since the last read were missed; more: further versions can be read immediately;
    tick: the position in the log after this page.
    """

    versions: Sequence[LoggedVersion]
    lost: bool = False
    more: bool = False
    tick: int = 0


class _Data(msgspec.Struct):
    key: str = msgspec.field(name="_key", default="")
    rev: str = msgspec.field(name="_rev", default="")


class _Marker(msgspec.Struct):
    type: int = 0
    db: str = ""
    cuid: str = ""
    data: _Data = msgspec.field(default_factory=_Data)


class _Type(msgspec.Struct):
    type: int = 0


class _Tick(msgspec.Struct):
    tick: str = "0"


class _Listed(msgspec.Struct):
    name: str = ""
    guid: str = msgspec.field(name="globallyUniqueId", default="")


class _List(msgspec.Struct):
    result: list[_Listed]


class _Found(msgspec.Struct):
    now: float
    found: list[tuple[str, str]]


class _Scanned(msgspec.Struct):
    result: list[_Found]


class _Named(msgspec.Struct):
    name: str


class _Collections(msgspec.Struct):
    result: list[_Named]


_COLLECTIONS: Final = msgspec.json.Decoder(_Collections)
_MARKER: Final = msgspec.json.Decoder(_Marker)
_TYPE: Final = msgspec.json.Decoder(_Type)
_TICK: Final = msgspec.json.Decoder(_Tick)
_LIST: Final = msgspec.json.Decoder(_List)
_SCANNED: Final = msgspec.json.Decoder(_Scanned)


class Reader(Protocol):
    """Common interface of both readers. mode: `log` or `scan`. Methods raise UpstreamError, ArangoError."""

    mode: str

    async def begin(self, tick: int = 0) -> None:
        """Start reading: from `tick` if this reader has a log and `tick` is not 0, else from now."""

    async def join(self, collections: Sequence[str]) -> Sequence[LoggedVersion]:
        """Add collections to read. Return earlier versions that a later read may return again."""

    async def read(self, collections: Sequence[str]) -> LogPage:
        """Return the versions since the last read."""


class _Origin:
    def __init__(self, upstream: Requester, user: str, password: str) -> None:
        self._upstream = upstream
        token = base64.b64encode(f"{user}:{password}".encode())
        self._headers = [(b"authorization", b"Basic " + token), (b"accept", b"application/json")]

    async def ask(self, method: str, target: str, body: bytes = b"") -> tuple[bytes, Response]:
        """Send a request; return the response's body, and the response. Raise UpstreamError, ArangoError."""
        headers = [*self._headers, *([(b"content-type", b"application/json")] if body else [])]
        response = await self._upstream.request(Request(method, target.encode(), headers, body), idempotent=True)
        content = await _read_all(response.body)
        if response.status >= 400:
            try:
                error = decode_error(content)
            except msgspec.DecodeError:
                error = ErrorBody()
            raise ArangoError(error.number or response.status, error.message or None, status=response.status)
        return content, response


async def collections_of(upstream: Requester, user: str, password: str, database: str) -> frozenset[str]:
    """Return the names of a database's collections, system collections included; none if it does not exist.

    Raise the errors of `Reader`.
    """
    try:
        content, _ = await _Origin(upstream, user, password).ask(
            "GET", f"/_db/{quote(database, safe='')}/_api/collection"
        )
    except ArangoError as error:
        if error.number in _GONE:
            return frozenset()
        raise
    return frozenset(one.name for one in _COLLECTIONS.decode(content).result)


async def _read_all(body: bytes | AsyncIterator[bytes]) -> bytes:
    return body if isinstance(body, bytes) else b"".join([part async for part in body])


@dataclass(slots=True)
class _Names:
    """The names of collections by database and globally unique id."""

    of: dict[tuple[str, str], str] = field(default_factory=dict)
    asked: set[tuple[str, str]] = field(default_factory=set)  # ids that were looked up, found or not


class OriginLog:
    """The write-ahead log of a single server."""

    mode = "log"

    def __init__(self, upstream: Requester, user: str, password: str) -> None:
        self._origin = _Origin(upstream, user, password)
        self._names = _Names()
        self._tick = 0

    async def begin(self, tick: int = 0) -> None:
        """Start reading. Raise ArangoError if the log is not available to this account: 501, 403, 404."""
        body, _ = await self._origin.ask("GET", "/_db/_system/_api/wal/lastTick")
        self._tick = tick or int(_TICK.decode(body).tick)

    async def probe(self) -> None:
        """Raise ArangoError if this account may not read the log."""
        await self._origin.ask("GET", f"/_db/_system/_api/wal/tail?global=true&from={self._tick}&to={self._tick}")

    async def join(self, _collections: Sequence[str]) -> Sequence[LoggedVersion]:
        return ()  # the log has every later version of every collection

    async def read(self, collections: Sequence[str]) -> LogPage:
        target = f"/_db/_system/_api/wal/tail?global=true&from={self._tick}&chunkSize={_CHUNK}"
        body, response = await self._origin.ask("GET", f"{target}&syncerId={_SYNCER}&clientInfo=crossfade-watch")
        lost = response.header(b"x-arango-replication-frompresent") == b"false"
        more = response.header(b"x-arango-replication-checkmore") == b"true"
        included = _number(response.header(b"x-arango-replication-lastincluded"))
        try:
            versions = await self._versions(body, set(collections))
        except msgspec.DecodeError as error:
            raise UpstreamOutcomeUnknown(f"the origin's log cannot be decoded: {error}") from error
        self._tick = max(self._tick, included or _number(response.header(b"x-arango-replication-lastscanned")))
        return LogPage(versions, lost, more, self._tick)

    async def _versions(self, body: bytes, wanted: set[str]) -> list[LoggedVersion]:
        found: list[LoggedVersion] = []
        for line in body.split(b"\n"):
            kind = _TYPE.decode(line).type if line else 0
            if kind in _NAMING:
                self._names = _Names()
            if kind not in (_PUT, _REMOVE):
                continue
            marker = _MARKER.decode(line)
            collection = await self._name(marker.db, marker.cuid)
            if collection in wanted:
                data = marker.data
                found.append(LoggedVersion(collection, data.key, decode_rev(data.rev), marker.type == _REMOVE))
        return found

    async def _name(self, database: str, guid: str) -> str:
        known = self._names.of.get((database, guid))
        if known is None and (database, guid) not in self._names.asked:
            self._names.asked.add((database, guid))
            try:
                body, _ = await self._origin.ask("GET", f"/_db/{quote(database, safe='')}/_api/collection")
            except ArangoError as error:
                if error.number in _GONE:
                    return ""
                raise
            for one in _LIST.decode(body).result:
                self._names.of[database, one.guid] = f"{database}/{one.name}"
            known = self._names.of.get((database, guid))
        return known or ""


class RevisionScan:
    """Scans for recent revisions. Each reads a collection completely, so the watch makes them rarely."""

    mode = "scan"

    def __init__(self, upstream: Requester, user: str, password: str) -> None:
        self._origin = _Origin(upstream, user, password)
        self._since: dict[str, float] = {}  # milliseconds of the origin's clock at the last scan

    async def begin(self, _tick: int = 0) -> None:
        self._since.clear()

    async def join(self, collections: Sequence[str]) -> Sequence[LoggedVersion]:
        for collection in collections:
            self._since.pop(collection, None)
        await self.read(collections)  # only to learn the origin's time
        return (await self.read(collections)).versions

    async def read(self, collections: Sequence[str]) -> LogPage:
        versions: list[LoggedVersion] = []
        scanned_at: dict[str, float] = {}
        lost = False
        for collection in collections:
            try:
                scanned_at[collection], found = await self._scan(collection)
            except ArangoError as error:
                if error.number not in _GONE:
                    raise
                continue
            lost |= len(found) >= _MOST
            versions += found
        # only after every scan succeeded: a failed read returns no versions, so the next one must read them again
        self._since |= scanned_at
        return LogPage(versions, lost)

    async def _scan(self, collection: str) -> tuple[float, list[LoggedVersion]]:
        """Return the origin's clock before the scan, in milliseconds, and the versions since the last scan."""
        database, _, name = collection.partition("/")
        since = max(0, int(self._since.get(collection, 0)) - _MARGIN)
        bind: Mapping[str, object] = {"@c": name, "since": since, "most": _MOST if since else 0}
        body = msgspec.json.encode({"query": _SCAN, "bindVars": bind, "batchSize": 1})
        content, _ = await self._origin.ask("POST", f"/_db/{quote(database, safe='')}/_api/cursor", body)
        try:
            answer = _SCANNED.decode(content).result[0]
        except (msgspec.DecodeError, IndexError) as error:
            raise UpstreamOutcomeUnknown(f"the origin's answer to a scan cannot be decoded: {error}") from error
        return answer.now, [LoggedVersion(collection, key, decode_rev(rev), removed=False) for key, rev in answer.found]


def _number(text: bytes | None) -> int:
    if text is None:
        return 0
    if not text.isdigit():
        raise UpstreamOutcomeUnknown("the origin's log has no tick")
    return int(text)
