"""Listener and upstream with nothing between: the cost of the transport alone. `python -m bench.bare PORT ORIGIN`."""

from __future__ import annotations

import asyncio
import sys

import uvloop

from proxy.http import Listener, Upstream


async def serve(port: int, origin: str) -> None:
    upstream = Upstream(origin)
    listener = Listener(upstream.request, port=port)
    await listener.start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(int(sys.argv[1]), sys.argv[2]))
