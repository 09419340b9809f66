"""Outages that end: a killed proxy, a full disk, a stopped database, a connection that misbehaves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from tests.faults.environment import Environment, Proxy

End = Callable[[], Awaitable[object]]


async def begin(env: Environment, proxy: Proxy, name: str) -> End:
    """Begin an outage, and return what ends it.

    `kill`, `disk full`, `origin stopped`, `target stopped`, or `origin` or `target` and a mode of `Chaos`.
    """
    where, _, what = name.partition(" ")
    if name == "kill":
        await asyncio.to_thread(proxy.kill)
        return proxy.supervised
    if where == "disk":
        proxy.disk(full=True)
        return _later(lambda: proxy.disk(full=False))
    if name == "origin stopped":
        await env.origin.stop()
        return env.origin.start
    if name == "target stopped":
        await asyncio.to_thread(env.server.stop, "immediate")
        return lambda: asyncio.to_thread(env.server.start)
    chaos = env.to_origin if where == "origin" else env.to_target
    chaos.misbehave(what)
    return _later(chaos.heal)


async def outage(env: Environment, proxy: Proxy, name: str, lasts: float) -> None:
    """Begin an outage, and end it after `lasts` seconds; a killed proxy starts again after half of them."""
    end = await begin(env, proxy, name)
    await asyncio.sleep(lasts / 2 if name == "kill" else lasts)
    await end()


def _later(end: Callable[[], object]) -> End:
    async def ends() -> object:
        return end()

    return ends
