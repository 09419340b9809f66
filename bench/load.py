"""A closed-loop load generator on raw sockets, in a process of its own; prints one line of JSON.

`python -m bench.load PORT --connections 32 --seconds 4 --method GET --path /…`: every connection sends its next request
when the answer to the last is whole. The first tenth of the time warms up and is not counted.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

import uvloop

from bench.stub import document


@dataclass
class Tally:
    """What was counted: latencies in seconds, answers that were no 2xx, connections that broke."""

    counting: bool = False
    stopping: bool = False
    total: int = 0
    latencies: list[float] = field(default_factory=list)
    refused: int = 0
    broken: int = 0


class Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, requests: Iterator[bytes], tally: Tally, every: float = 0.0, first: float = 0.0) -> None:
        self._requests = requests
        self._every = every
        self._due = asyncio.get_running_loop().time() + first
        self._tally = tally
        self._got = bytearray()
        self._whole = 0
        self._since = 0.0
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        self._next()

    def _next(self) -> None:
        """Sends at once, or when its turn comes; a late one does not make up for what it missed."""
        if not self._every:
            self._send()
            return
        loop = asyncio.get_running_loop()
        self._due = max(self._due + self._every, loop.time())
        loop.call_at(self._due, self._send)

    def _send(self) -> None:
        if self._tally.stopping:
            self._transport.close()
            return
        self._since = time.perf_counter()
        self._transport.write(next(self._requests))

    def data_received(self, data: bytes) -> None:
        got = self._got
        got += data
        if not self._whole:
            end = got.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(got[:end]).lower()
            at = head.index(b"content-length:")
            self._whole = end + 4 + int(head[at + 15 :].split(b"\r\n", 1)[0])
            if head[9:10] != b"2":
                self._tally.refused += 1
        if len(got) < self._whole:
            return
        tally = self._tally
        tally.total += 1
        if tally.counting:
            tally.latencies.append(time.perf_counter() - self._since)
        got.clear()
        self._whole = 0
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
    """Runs the load, at most `rate` requests a second (0: as fast as it goes); connections take turns at `requests`.

    `requests` in `seconds`, `p50` and `p99` in ms; `total` in `elapsed` seconds, warm-up included.
    """
    loop, tally, turns = asyncio.get_running_loop(), Tally(), itertools.cycle(requests)
    first = time.perf_counter()
    clients = []
    every = connections / rate if rate else 0.0
    for number in range(connections):
        turn = every * number / connections - every
        _, client = await loop.create_connection(
            lambda turn=turn: Client(turns, tally, every, turn),  # type: ignore[misc]
            "127.0.0.1",
            port,
        )
        clients.append(client)
    await asyncio.sleep(seconds / 10)
    tally.counting, begun = True, time.perf_counter()
    await asyncio.sleep(seconds)
    tally.counting, tally.stopping, took = False, True, time.perf_counter() - begun
    await asyncio.wait([client.done for client in clients], timeout=30)
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
    """A request as python-arango sends it."""
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: python-requests/2.32\r\n"
        "Accept-Encoding: gzip, deflate\r\nAccept: */*\r\nConnection: keep-alive\r\n"
        "Authorization: Basic cm9vdDpwYXNzd29yZA==\r\n"
    )
    if body:
        head += f"content-type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


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
    options = parser.parse_args()
    body = document(options.size) if options.method == "POST" else b""
    paths = [options.path.replace("{key}", str(key + 1)) for key in range(options.keys)] or [options.path]
    messages = [request(options.method, path, options.port, body) for path in paths]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(load(options.port, messages, options.connections, options.seconds, options.rate))))


if __name__ == "__main__":
    main()
