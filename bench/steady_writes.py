"""Writes at a fixed rate through several proxies, each with its time: `python -m bench.steady_writes PORT PORT`.

Each write is sent at its time, however long others wait, on a connection of its own kept for later ones. It ends when
standard input is closed, and prints a JSON array of [moment of sending (CLOCK_MONOTONIC), seconds, status]; status 0:
no answer.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time

import uvloop

from bench.load import request
from bench.stub import document

_SIZE = 500  # bytes of a document
_PATIENCE = 60.0  # seconds for an answer

Sample = tuple[float, float, int]


class Target:
    """The connections to one proxy."""

    def __init__(self, port: int, path: str) -> None:
        self._port = port
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._request = request("POST", path, port, document(_SIZE))

    async def write(self) -> Sample:
        """Send one write."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(_PATIENCE):
                streams = self._free.pop() if self._free else await asyncio.open_connection("127.0.0.1", self._port)
                reader, writer = streams
                writer.write(self._request)
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]))
        except (OSError, EOFError, TimeoutError):
            return began, time.monotonic() - began, 0
        self._free.append(streams)
        return began, time.monotonic() - began, int(head[9:12])


async def steady(ports: list[int], path: str, rate: float) -> list[Sample]:
    """Write until standard input is closed."""
    targets = [Target(port, path) for port in ports]
    over = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    tasks: list[asyncio.Task[Sample]] = []
    due = time.monotonic()
    while not over.done():
        tasks.append(asyncio.create_task(targets[len(tasks) % len(targets)].write()))
        due += 1 / rate
        await asyncio.sleep(max(0.0, due - time.monotonic()))
    return list(await asyncio.gather(*tasks))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("ports", type=int, nargs="+")
    parser.add_argument("--path", required=True)
    parser.add_argument("--rate", type=float, required=True, help="writes a second, through all of them")
    options = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(steady(options.ports, options.path, options.rate))))


if __name__ == "__main__":
    main()
