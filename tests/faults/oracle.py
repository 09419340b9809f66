"""Clients that check every answer of the proxies by themselves: plain HTTP, no product code.

Each key has one writer, whose operations are numbered: a document holds the number of the write that made it, so which
versions a read may show is a comparison of numbers. A read that begins after a write was acknowledged, or after a
document read showed a version, through any proxy, must show that version or a later one; a removal is a version, too. A
query must show what was acknowledged, or read by key, before it began. What only a query showed sets no minimum for
later reads. Revisions are checked as well (tests/faults/revisions.py).

A write whose answer is lost, or is 5xx, may still happen at any time: its key is not written again, only read.

A mixed crowd also writes by AQL, alone and in transactions, and never reads those cursors to their end.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.faults.revisions import Revisions
from tests.faults.violations import Kind, Violation

COLLECTION = "books"
_DOCUMENT = f"/_api/document/{COLLECTION}"
_QUERY = f"FOR d IN {COLLECTION} FILTER d._key == @key RETURN {{n: d.n, _rev: d._rev}}"
_PUT = (
    "FOR k IN [CONCAT(@key, '-x'), @key] UPSERT {_key: k} INSERT {_key: k, n: @n} UPDATE {n: @n} "
    f"IN {COLLECTION} RETURN NEW"
)
_REMOVE = (
    f"FOR d IN {COLLECTION} FILTER d._key IN [CONCAT(@key, '-x'), @key] SORT d._key == @key REMOVE d IN {COLLECTION} "
    "RETURN OLD"
)
_TIMEOUT = 40.0  # seconds after which a request counts as failed
_RETRY_PAUSE = 0.1  # seconds that a client waits where a connection broke


class Wire:
    """One persistent connection to one proxy, with a minimal HTTP/1.1 client."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, method: str, path: str, body: object = None, transaction: str = "") -> tuple[int, Any, str]:
        """Return (status, JSON value, answering store).

        Raise OSError, EOFError or TimeoutError without a complete answer.
        """
        head = f"{method} {path} HTTP/1.1\r\nHost: proxy\r\nX-Crossfade-Explain: 1\r\n"
        head += "Authorization: Basic cm9vdDo=\r\n"
        head += f"x-arango-trx-id: {transaction}\r\n" if transaction else ""
        async with asyncio.timeout(_TIMEOUT):
            try:
                if self._streams is None:
                    self._streams = await asyncio.open_connection("127.0.0.1", self._port)
                return await self._exchange(*self._streams, head, body)
            except BaseException:
                self.close()
                raise

    @staticmethod
    async def _exchange(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: str, body: object
    ) -> tuple[int, Any, str]:
        content = b"" if body is None else json.dumps(body).encode()
        writer.write(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        text = await reader.readexactly(int(headers.get("content-length", "0")))
        return int(lines[0].split()[1]), json.loads(text or b"null"), headers.get("x-crossfade-served-by", "unknown")

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None


@dataclass
class Key:
    """The knowledge about one key. floor: the minimum version that every read from now on must show."""

    name: str
    issued: int = 0
    floor: int = 0
    source: str = "no request"  # which one raised the floor
    exists: bool = False
    removals: list[int] = field(default_factory=lambda: [0])  # before the first write there was nothing

    def violation(self, version: int | None, floor: int) -> Violation | None:
        """Return why a read that began at `floor` must not have shown this version, or None if it may."""
        known = f"{floor} was known when it began, from {self.source}"
        if version is None:
            if any(removal >= floor for removal in self.removals):
                return None
            return Violation(Kind.LOST, f"nothing, and version {known}")
        if version < floor and floor in self.removals:
            return Violation(Kind.RESURRECTED, f"version {version}, and removal {known}")
        if version < floor:
            return Violation(Kind.STALE, f"version {version}, and version {known}")
        if version > self.issued or version in self.removals:
            return Violation(Kind.UNWRITTEN, f"version {version}, which was never written")
        return None

    def raise_floor(self, version: int | None, floor: int, source: str) -> None:
        """Raise the minimum version: a write was acknowledged, or a document read showed it."""
        if version is None:
            version = min(removal for removal in self.removals if removal >= floor)
        if version > self.floor:
            self.floor, self.source = version, f"{source} at {time.monotonic():.3f}"


class Failed(NamedTuple):
    """A request without a result. status: of the answer; 0: there was none."""

    status: int
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass
class Tally:
    """What clients saw. write_wait, read_wait: seconds of the longest request through a proxy that was not frozen
    meanwhile.
    """

    writes: int = 0
    reads: int = 0
    from_target: int = 0
    write_wait: float = 0.0
    read_wait: float = 0.0
    violations: list[Violation] = field(default_factory=list)
    failed: list[Failed] = field(default_factory=list)

    @property
    def pause(self) -> float:
        """Seconds of the longest request."""
        return max(self.write_wait, self.read_wait)


class Crowd:
    """Clients that each use all proxies, on keys that begin with `name` and that only they write.

    They work within `async with`, which can be entered again: what they know stays. revisions: those that earlier
    crowds know of the same collection.
    frozen(proxy, since): whether the proxy was frozen at some time since then. pace: maximum pause of a client in
    seconds. mixed: also write by AQL.
    """

    def __init__(
        self,
        name: str,
        ports: list[int],
        clients: int,
        seed: int,
        frozen: Callable[[int, float], bool],
        pace: float = 0.01,
        *,
        mixed: bool = False,
        revisions: Revisions | None = None,
    ) -> None:
        self._mixed = mixed
        self._ports = ports
        self._frozen = frozen
        self._pace = pace
        self._keys = [[Key(f"{name}-{client}-{n}") for n in range(3)] for client in range(clients)]
        self.everything = [key for keys in self._keys for key in keys]  # also those that are only read by now
        self.revisions = revisions or Revisions()
        self._random = [random.Random(seed * 1000 + client) for client in range(clients)]
        self.tally = Tally()
        self._going = False
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Crowd:
        self._going = True
        self._tasks = [asyncio.create_task(self._client(number)) for number in range(len(self._keys))]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._going = False
        await asyncio.gather(*self._tasks)

    async def _client(self, number: int) -> None:
        rng, own = self._random[number], self._keys[number]
        wires = [Wire(port) for port in self._ports]
        try:
            while self._going:
                place = rng.randrange(len(own))
                key = own[place]
                if rng.random() < 0.5 and not await self._write(rng, wires, key):
                    own[place] = Key(f"{key.name}r")
                    self.everything.append(own[place])
                for read in (key, rng.choice(self.everything)):
                    await self._read(rng, wires, read)
                await asyncio.sleep(rng.uniform(0, self._pace))
        finally:
            for wire in wires:
                wire.close()

    async def _by_query(
        self, rng: random.Random, wires: list[Wire], proxy: int, key: str, version: int, *, removes: bool
    ) -> tuple[int, Any, str] | None:
        """Write by AQL with a cursor that is not read to its end; the key is in its second batch.

        Use a transaction at times.
        """
        binds = {"key": key} if removes else {"key": key, "n": version}
        body = {"query": _REMOVE if removes else _PUT, "bindVars": binds, "batchSize": 1, "ttl": 600}
        if rng.random() < 0.6:
            return await self._ask(wires, proxy, "POST", "/_api/cursor", body)
        transaction = await self._ask(
            wires, proxy, "POST", "/_api/transaction/begin", {"collections": {"write": COLLECTION}}
        )
        if transaction is None or transaction[0] != 201:
            return None
        number = transaction[1]["result"]["id"]
        await self._ask(wires, proxy, "POST", "/_api/cursor", body, transaction=number)
        return await self._ask(wires, proxy, "PUT", f"/_api/transaction/{number}")

    async def _ask(
        self,
        wires: list[Wire],
        proxy: int,
        method: str,
        path: str,
        body: object = None,
        transaction: str = "",
    ) -> tuple[int, Any, str] | None:
        """Return the answer, or None for a failed request: no answer, or 5xx."""
        started = time.monotonic()
        try:
            status, value, by = await wires[proxy].ask(method, path, body, transaction)
        except (OSError, EOFError, TimeoutError) as error:
            self.tally.failed.append(Failed(0, f"{method} {path} at {proxy}: {type(error).__name__} {error}"))
            await asyncio.sleep(_RETRY_PAUSE)
            return None
        if not self._frozen(proxy, started):
            self._note_wait(method, path, body, time.monotonic() - started)
        if status >= 500:
            self.tally.failed.append(Failed(status, f"{method} {path} at {proxy}: {status} {value}"))
            await asyncio.sleep(_RETRY_PAUSE)
            return None
        return status, value, by

    def _note_wait(self, method: str, path: str, body: object, seconds: float) -> None:
        if method == "GET" or "onlyget" in path or (isinstance(body, dict) and body.get("query") == _QUERY):
            self.tally.read_wait = max(self.tally.read_wait, seconds)
        else:
            self.tally.write_wait = max(self.tally.write_wait, seconds)

    async def _write(self, rng: random.Random, wires: list[Wire], key: Key) -> bool:
        """Write or remove the key; return False if it may still happen later.

        It has no other writer, so any unexpected answer is an error.
        """
        key.issued += 1
        version, proxy = key.issued, rng.randrange(len(wires))
        path, body = f"{_DOCUMENT}/{key.name}", {"n": version}
        if key.exists and rng.random() < 0.15:
            key.removals.append(version)
            if self._mixed and rng.random() < 0.5:
                answer = await self._by_query(rng, wires, proxy, key.name, version, removes=True)
            else:
                answer = await self._ask(wires, proxy, "DELETE", path)
            exists = False
        elif self._mixed and rng.random() < 0.3:
            answer = await self._by_query(rng, wires, proxy, key.name, version, removes=False)
            exists = True
        elif key.exists and rng.random() < 0.7:
            answer = await self._ask(wires, proxy, rng.choice(("PATCH", "PUT")), path, body)
            exists = True
        else:
            options = "?overwriteMode=replace"  # after a failed request the stored version is unknown
            answer = await self._ask(wires, proxy, "POST", _DOCUMENT + options, {"_key": key.name, **body})
            exists = True
        self.tally.writes += 1
        if answer is None:
            return False
        if answer[0] not in (200, 201, 202):
            self.tally.failed.append(
                Failed(answer[0], f"write {key.name} {version} at {proxy}: {answer[0]} {answer[1]}")
            )
            key.exists = False
        else:
            key.exists = exists
            key.raise_floor(version, 0, f"the write at {proxy}")
            if exists and isinstance(answer[1], dict) and answer[1].get("_key") == key.name:
                self._saw_revision(key, version, answer[1])
        return True

    def _saw_revision(self, key: Key, version: int, shown: dict[str, Any]) -> None:
        violation = self.revisions.saw(key.name, version, shown["_rev"])
        if violation is not None:
            self.tally.violations.append(violation)

    async def _read(self, rng: random.Random, wires: list[Wire], key: Key) -> None:
        floor, proxy, way = key.floor, rng.randrange(len(wires)), rng.random()
        started = time.monotonic()
        if way < 0.6:
            kind, answer = "document", await self._ask(wires, proxy, "GET", f"{_DOCUMENT}/{key.name}")
            found = answer and answer[1]
        elif way < 0.75:
            kind, answer = "documents", await self._ask(wires, proxy, "PUT", f"{_DOCUMENT}?onlyget=true", [key.name])
            found = answer and answer[0] == 200 and answer[1][0]
        else:
            body = {"query": _QUERY, "bindVars": {"key": key.name}}
            kind, answer = "query", await self._ask(wires, proxy, "POST", "/_api/cursor", body)
            found = answer and next(iter(answer[1].get("result", ())), None)
        if answer is None:
            return
        if answer[0] not in (200, 201, 404):
            self.tally.failed.append(Failed(answer[0], f"{kind} {key.name} at {proxy}: {answer[0]} {answer[1]}"))
            return
        self.tally.reads += 1
        self.tally.from_target += answer[2] == "postgresql"
        version = found.get("n") if found else None
        violation = key.violation(version, floor)
        if violation is not None:
            moment = f"from {started:.3f} to {time.monotonic():.3f}"
            text = f"{kind} {key.name} at {proxy} by {answer[2]} {moment}: {violation.text}"
            self.tally.violations.append(Violation(violation.kind, text))
        elif kind != "query":
            key.raise_floor(version, floor, f"a {kind} read at {proxy} by {answer[2]} begun at {started:.3f}")
        if violation is None and found and version is not None:
            self._saw_revision(key, version, found)
