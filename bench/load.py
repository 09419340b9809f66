"""A load generator on raw sockets, in a dedicated process; prints one line of JSON.

`python -m bench.load PORT --connections 32 --seconds 4 --method GET --path /…`: every connection sends its next request
when the last answer is complete, or with `--rate` at its scheduled time. The first tenth of
the time warms up and is not counted.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import heapq
import itertools
import json
import math
import os
import struct
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import cast

import uvloop

from bench.stub import document

_CLOCK_MONOTONIC, _NONBLOCK, _ABSOLUTE = 1, 0o4000, 1  # of timerfd_create(2)


class Turns:
    """A scheduler of calls.

    The loop's timers have millisecond resolution: calls of one millisecond would come in a burst.
    """

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._timer = self._libc.timerfd_create(_CLOCK_MONOTONIC, _NONBLOCK)
        self._due: list[tuple[float, int, Client]] = []
        self._numbers = itertools.count()
        asyncio.get_running_loop().add_reader(self._timer, self._fire)

    def at(self, moment: float, client: Client) -> None:
        """Let the client send at that time (time.monotonic), or immediately if it is past."""
        heapq.heappush(self._due, (moment, next(self._numbers), client))
        if self._due[0][2] is client:
            self._arm()

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._timer)
        os.close(self._timer)

    def _arm(self) -> None:
        moment = max(self._due[0][0], 1e-6)  # zero would disarm
        seconds = int(moment)
        setting = struct.pack("4l", 0, 0, seconds, int((moment - seconds) * 1e9))
        if self._libc.timerfd_settime(self._timer, _ABSOLUTE, setting, None):
            raise OSError(ctypes.get_errno(), "timerfd_settime")

    def _fire(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._timer, 8)
        while self._due and self._due[0][0] <= time.monotonic():
            heapq.heappop(self._due)[2].send()
        if self._due:
            self._arm()


@lru_cache(maxsize=1024)  # answers to one kind of request have one head, or few
def _length(head: bytes) -> int:
    """Return the Content-Length of an answer's head."""
    lower = head.lower()
    return int(lower[lower.index(b"content-length:") + 15 :].split(b"\r\n", 1)[0])


@dataclass
class Tally:
    """Latencies in seconds, answers other than 2xx, connections that broke."""

    counting: bool = False
    stopping: bool = False
    total: int = 0
    latencies: list[float] = field(default_factory=list)
    refused: int = 0
    broken: int = 0


class Client(asyncio.Protocol):
    """One connection."""

    def __init__(
        self,
        requests: Iterator[bytes],
        tally: Tally,
        turns: Turns,
        every: float = 0.0,
        first: float = 0.0,
    ) -> None:
        """every: seconds between two requests, 0 for maximum speed; first: seconds until the first."""
        self._requests = requests
        self._turns = turns
        self._every = every
        self._due = time.monotonic() + first - every
        self._tally = tally
        self._got = b""
        self._whole = 0
        self._since = 0.0
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is not a subclass
        self._next()

    def _next(self) -> None:
        """Send immediately, or at the scheduled time.

        A late client skips turns, so that a stall does not synchronize clients.
        """
        if not self._every:
            self.send()
            return
        self._due += self._every
        late = time.monotonic() - self._due
        if late > 0:
            self._due += self._every * math.ceil(late / self._every)
        self._turns.at(self._due, self)

    def send(self) -> None:
        """Send the next request, or close the connection."""
        if self._tally.stopping:
            self._transport.close()
            return
        self._since = time.perf_counter()
        self._transport.write(next(self._requests))

    def data_received(self, data: bytes) -> None:
        got = self._got + data if self._got else data
        if not self._whole:
            end = got.find(b"\r\n\r\n")
            if end < 0:
                self._got = got
                return
            self._whole = end + 4 + _length(got[:end])
            if got[9:10] != b"2":
                self._tally.refused += 1
        if len(got) < self._whole:
            self._got = got
            return
        tally = self._tally
        tally.total += 1
        if tally.counting:
            tally.latencies.append(time.perf_counter() - self._since)
        self._got, self._whole = b"", 0
        if tally.stopping:
            self._transport.close()
        else:
            self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._tally.stopping:
            self._tally.broken += 1
        self.done.set_result(None)


async def load(
    port: int, requests: Sequence[bytes], connections: int, seconds: float, rate: float = 0.0
) -> dict[str, float]:
    """Run the load, at most `rate` requests a second (0: as fast as it goes); connections take turns at `requests`.

    `requests` in `seconds`, `p50` and `p99` in ms; `total` in `elapsed` seconds, warm-up included.
    """
    loop, tally, following, turns = asyncio.get_running_loop(), Tally(), itertools.cycle(requests), Turns()
    first = time.perf_counter()
    clients = []
    every = connections / rate if rate else 0.0
    for number in range(connections):
        create_client = partial(Client, following, tally, turns, every, every * number / connections)
        _, client = await loop.create_connection(create_client, "127.0.0.1", port)
        clients.append(client)
    await asyncio.sleep(seconds / 10)
    tally.counting, started = True, time.perf_counter()
    await asyncio.sleep(seconds)
    tally.counting, tally.stopping, took = False, True, time.perf_counter() - started
    await asyncio.wait([client.done for client in clients], timeout=30)
    turns.close()
    elapsed = time.perf_counter() - first
    ordered = sorted(tally.latencies) or [0.0]
    return {
        "requests": len(tally.latencies),
        "seconds": took,
        "total": tally.total,
        "elapsed": elapsed,
        "refused": tally.refused,
        "broken": tally.broken,
        "p50": 1000 * ordered[len(ordered) // 2],
        "p99": 1000 * ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)],
    }


def request(method: str, path: str, port: int, body: bytes) -> bytes:
    """Return a request as python-arango sends it."""
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: python-requests/2.32\r\n"
        "Accept-Encoding: gzip, deflate\r\nAccept: */*\r\nConnection: keep-alive\r\n"
        "Authorization: Basic cm9vdDpwYXNzd29yZA==\r\n"
    )
    if body:
        head += f"content-type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


def query(path: str, port: int, first: int, options: argparse.Namespace) -> bytes:
    """A query for the documents of `rows` keys from the one of that number on, of the collection that `path` names."""
    keys = [str((first + number) % options.keys + 1) for number in range(options.rows)]
    text = "FOR d IN @@c FILTER d._key IN @keys SORT d._key RETURN d"
    binds = {"@c": path.split("/")[-2], "keys": keys}
    prefix = path.partition("/_api/")[0]
    return request("POST", f"{prefix}/_api/cursor", port, json.dumps({"query": text, "bindVars": binds}).encode())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--rate", type=float, default=0.0, help="requests a second, at most; 0: no limit")
    parser.add_argument("--method", default="GET")
    parser.add_argument("--path", default="/_db/_system/_api/document/bench/canned")
    parser.add_argument("--size", type=int, default=2048, help="bytes of the body of a POST")
    parser.add_argument("--keys", type=int, default=0, help="`{key}` in the path runs from 1 to this")
    parser.add_argument("--rows", type=int, default=0, help="after each read, a query for this many keys")
    options = parser.parse_args()
    body = document(options.size) if options.method == "POST" else b""
    paths = [options.path.replace("{key}", str(key + 1)) for key in range(options.keys)] or [options.path]
    messages = [request(options.method, path, options.port, body) for path in paths]
    if options.rows:
        queries = [query(options.path, options.port, first, options) for first in range(options.keys)]
        messages = [message for pair in zip(messages, queries, strict=True) for message in pair]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(load(options.port, messages, options.connections, options.seconds, options.rate))))


if __name__ == "__main__":
    main()
