"""The newest versions in the origin, as the watch reads them: by its write-ahead log, or by scans of revisions.

`/_api/wal/tail` (protocol page, section 9) is there on a single server, for an account that may administrate `_system`;
its markers are whole documents, of which key and revision are taken. Where it is not (a cluster answers 501), each look
scans the collections for revisions newer than the last look, by DECODE_REV and the origin's own clock.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol
from urllib.parse import quote

import msgspec

from proxy.base.errors import ArangoError, UpstreamOutcomeUnknown
from proxy.model.message import Request, Response
from proxy.model.revision import decode_rev

_CHUNK: Final = 4 << 20  # bytes of one answer
_SYNCER: Final = 1128421190  # keeps the origin's log files while the watch reads them
_PUT, _REMOVE = 2300, 2302
_NAMING: Final = frozenset({1100, 1101, 2000, 2001, 2002})  # databases and collections come, go, have other names
_GONE: Final = frozenset({1203, 1228})
_MARGIN: Final = 10_000  # milliseconds by which revisions may run ahead of the clock
_MOST: Final = 20_000  # documents that one scan of a collection may give
_SCAN: Final = (
    "LET now = DATE_NOW() LET found = (FOR d IN @@c FILTER DECODE_REV(d._rev).date >= DATE_ISO8601(@since) LIMIT @most "
    "RETURN [d._key, d._rev]) RETURN { now, found }"
)


class Requester(Protocol):
    """What this module needs of the upstream pool."""

    async def request(self, request: Request, *, idempotent: bool = False) -> Response: ...


@dataclass(frozen=True, slots=True)
class Version:
    """One version that the origin has. rev: of a removal, the removed one."""

    collection: str
    key: str
    rev: int
    removed: bool


@dataclass(frozen=True, slots=True)
class Page:
    """What one read gave. lost: some of the log before it is gone. more: there is more at once. tick: where it ends."""

    versions: Sequence[Version]
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


class _Error(msgspec.Struct):
    number: int = msgspec.field(name="errorNum", default=0)
    message: str = msgspec.field(name="errorMessage", default="")


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
_ERROR: Final = msgspec.json.Decoder(_Error)


class Reader(Protocol):
    """Either way. mode: `log` or `scan`. Methods raise UpstreamError, ArangoError."""

    mode: str

    async def begin(self, tick: int = 0) -> None:
        """From now on; `tick`: from there, where that is a place in the log."""

    async def join(self, collections: Sequence[str]) -> Sequence[Version]:
        """These are read from now on; gives versions from before that a later read may show."""

    async def read(self, collections: Sequence[str]) -> Page:
        """What came since the last read."""


class _Origin:
    def __init__(self, upstream: Requester, user: str, password: str) -> None:
        self._upstream = upstream
        token = base64.b64encode(f"{user}:{password}".encode())
        self._headers = [(b"authorization", b"Basic " + token), (b"accept", b"application/json")]

    async def ask(self, method: str, target: str, body: bytes = b"") -> tuple[bytes, Response]:
        """A body, and the answer that it is of. Raises UpstreamError, ArangoError."""
        headers = [*self._headers, *([(b"content-type", b"application/json")] if body else [])]
        response = await self._upstream.request(Request(method, target.encode(), headers, body), idempotent=True)
        content = await _whole(response.body)
        if response.status >= 400:
            try:
                error = _ERROR.decode(content)
            except msgspec.DecodeError:
                error = _Error()
            raise ArangoError(error.number or response.status, error.message or None, status=response.status)
        return content, response


async def collections_of(upstream: Requester, user: str, password: str, database: str) -> frozenset[str]:
    """Names of a database's collections, system ones as well; none where it is not there. Raises as `Reader`."""
    try:
        content, _ = await _Origin(upstream, user, password).ask(
            "GET", f"/_db/{quote(database, safe='')}/_api/collection"
        )
    except ArangoError as error:
        if error.number in _GONE:
            return frozenset()
        raise
    return frozenset(one.name for one in _COLLECTIONS.decode(content).result)


async def _whole(body: bytes | AsyncIterator[bytes]) -> bytes:
    return body if isinstance(body, bytes) else b"".join([part async for part in body])


@dataclass(slots=True)
class _Names:
    """The names of collections by their lasting ids."""

    of: dict[tuple[str, str], str] = field(default_factory=dict)
    asked: set[tuple[str, str]] = field(default_factory=set)  # ids that nobody knows


class Log:
    """The write-ahead log of a single server."""

    mode = "log"

    def __init__(self, upstream: Requester, user: str, password: str) -> None:
        self._origin = _Origin(upstream, user, password)
        self._names = _Names()
        self._tick = 0

    async def begin(self, tick: int = 0) -> None:
        """Raises ArangoError where there is no log for this account: 501, 403, 404."""
        body, _ = await self._origin.ask("GET", "/_db/_system/_api/wal/lastTick")
        self._tick = tick or int(_TICK.decode(body).tick)

    async def probe(self) -> None:
        """Raises ArangoError where this account may not read the log."""
        await self._origin.ask("GET", f"/_db/_system/_api/wal/tail?global=true&from={self._tick}&to={self._tick}")

    async def join(self, _collections: Sequence[str]) -> Sequence[Version]:
        return ()  # their versions come with the time after which they were written

    async def read(self, collections: Sequence[str]) -> Page:
        target = f"/_db/_system/_api/wal/tail?global=true&from={self._tick}&chunkSize={_CHUNK}"
        body, response = await self._origin.ask("GET", f"{target}&syncerId={_SYNCER}&clientInfo=crossfade-watch")
        lost = response.header(b"x-arango-replication-frompresent") == b"false"
        more = response.header(b"x-arango-replication-checkmore") == b"true"
        included = _number(response.header(b"x-arango-replication-lastincluded"))
        try:
            versions = await self._versions(body, set(collections))
        except msgspec.DecodeError as error:
            raise UpstreamOutcomeUnknown(f"the origin's log is not understood: {error}") from error
        self._tick = max(self._tick, included or _number(response.header(b"x-arango-replication-lastscanned")))
        return Page(versions, lost, more, self._tick)

    async def _versions(self, body: bytes, wanted: set[str]) -> list[Version]:
        found: list[Version] = []
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
                found.append(Version(collection, data.key, decode_rev(data.rev), marker.type == _REMOVE))
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


class Scan:
    """Scans of revisions. A full walk through each collection: the watch makes it seldom."""

    mode = "scan"

    def __init__(self, upstream: Requester, user: str, password: str) -> None:
        self._origin = _Origin(upstream, user, password)
        self._since: dict[str, float] = {}  # milliseconds of the origin's clock at the last look

    async def begin(self, _tick: int = 0) -> None:
        self._since.clear()

    async def join(self, collections: Sequence[str]) -> Sequence[Version]:
        for collection in collections:
            self._since.pop(collection, None)
        await self.read(collections)  # of what time it is there
        return (await self.read(collections)).versions

    async def read(self, collections: Sequence[str]) -> Page:
        versions: list[Version] = []
        looked: dict[str, float] = {}
        lost = False
        for collection in collections:
            try:
                looked[collection], found = await self._look(collection)
            except ArangoError as error:
                if error.number not in _GONE:
                    raise
                continue
            lost |= len(found) >= _MOST
            versions += found
        self._since |= looked  # once all have answered: what a read that failed has seen, nobody was given
        return Page(versions, lost)

    async def _look(self, collection: str) -> tuple[float, list[Version]]:
        """The origin's clock before the look, in milliseconds, and what came since the last look."""
        database, _, name = collection.partition("/")
        since = max(0, int(self._since.get(collection, 0)) - _MARGIN)
        bind: Mapping[str, object] = {"@c": name, "since": since, "most": _MOST if since else 0}
        body = msgspec.json.encode({"query": _SCAN, "bindVars": bind, "batchSize": 1})
        content, _ = await self._origin.ask("POST", f"/_db/{quote(database, safe='')}/_api/cursor", body)
        try:
            answer = _SCANNED.decode(content).result[0]
        except (msgspec.DecodeError, IndexError) as error:
            raise UpstreamOutcomeUnknown(f"the origin's answer to a scan is not understood: {error}") from error
        return answer.now, [Version(collection, key, decode_rev(rev), removed=False) for key, rev in answer.found]


def _number(text: bytes | None) -> int:
    if text is None:
        return 0
    if not text.isdigit():
        raise UpstreamOutcomeUnknown("the origin's log has no tick")
    return int(text)
