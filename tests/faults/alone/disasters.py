"""The faults: of a proxy, of a connection, of PostgreSQL. Each ends with everything running again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import asyncpg

from proxy.base.failpoints import ALONE
from tests.faults.alone.stack import AloneStack

_AWAY: Final = 0.5  # seconds that PostgreSQL is away
_UNTIL_KILLED: Final = 8.0  # seconds for a proxy to reach its failpoint
_MOST: Final = 40  # times that a failpoint is passed before the proxy is killed there
_BACKENDS: Final = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
Disaster = Callable[[AloneStack, random.Random], Awaitable[None]]


async def _backends(stack: AloneStack) -> list[int]:
    connection = await asyncpg.connect(stack.dsn)
    try:
        return [row["pid"] for row in await connection.fetch(_BACKENDS)]
    finally:
        await connection.close()


async def kill_a_proxy(stack: AloneStack, rng: random.Random) -> None:
    """Kill a proxy at any moment."""
    rng.choice(stack.proxies).kill(signal.SIGKILL)
    await stack.supervised()


async def kill_a_proxy_at_a_point(stack: AloneStack, rng: random.Random) -> None:
    """Restart a proxy that kills itself at a step of a write."""
    proxy = rng.choice(stack.proxies)
    proxy.kill(signal.SIGKILL)
    await proxy.start(f"{rng.choice(ALONE)}:{rng.randrange(1, _MOST)}", wait=False)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_UNTIL_KILLED):
            while proxy.running:
                await asyncio.sleep(0.05)
    if proxy.running:
        proxy.kill(signal.SIGKILL)
    await stack.supervised()


async def end_connections(stack: AloneStack, rng: random.Random) -> None:
    """End some connections of the proxies, as an administrator does."""
    found = await _backends(stack)
    ended = rng.sample(found, rng.randrange(1, len(found) + 1))
    await stack.execute(f"SELECT pg_terminate_backend(pid) FROM unnest(ARRAY{ended}) pid")


async def kill_a_backend(stack: AloneStack, rng: random.Random) -> None:
    """Kill a backend, after which PostgreSQL ends all others and recovers from its log."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(rng.choice(await _backends(stack)), signal.SIGKILL)
    await asyncio.sleep(_AWAY)


async def stop_postgresql(stack: AloneStack, _: random.Random) -> None:
    """Stop PostgreSQL without a checkpoint, and start it again."""
    await asyncio.to_thread(stack.server.stop, "immediate")
    await asyncio.sleep(_AWAY)
    await stack.start_postgresql()


async def kill_postgresql(stack: AloneStack, _: random.Random) -> None:
    """Kill the postmaster."""
    await stack.kill_postgresql()
    await stack.start_postgresql()


async def change_the_timeline(stack: AloneStack, _: random.Random) -> None:
    """Let PostgreSQL crash, and come back as a promoted replica does: recovered from the log, on a new timeline."""
    await asyncio.to_thread(stack.server.stop, "immediate")
    request = stack.server.data / "recovery.signal"
    request.touch()
    owner = os.stat(stack.server.data)
    os.chown(request, owner.st_uid, owner.st_gid)
    stack.server.options |= {"restore_command": "false", "hot_standby": "off"}
    await stack.start_postgresql()


DISASTERS: Final[Mapping[str, Disaster]] = {
    "proxy killed": kill_a_proxy,
    "proxy killed at a point": kill_a_proxy_at_a_point,
    "connections ended": end_connections,
    "backend killed": kill_a_backend,
    "PostgreSQL stopped": stop_postgresql,
    "PostgreSQL killed": kill_postgresql,
    "new timeline": change_the_timeline,
}
