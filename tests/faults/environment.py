"""The environment of the fault tests: an origin, a PostgreSQL, chaos proxies before both, proxies as processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import httpx

from deploy.demo.postgres import EmbeddedPostgres
from proxy.base.config import load
from proxy.base.free_port import free_port
from proxy.control import controller
from proxy.control.transitions_plan import DesiredState
from proxy.devserver.store import MemoryStore
from proxy.model.stages import Stage
from tests.ad_hoc import Database
from tests.faults import traffic
from tests.faults.chaos import Chaos
from tests.faults.clocks import Wall
from tests.faults.forked_proxies import Forked
from tests.harness import Origin, differences, eventually

BOOKS = "_system/books"
_UNVERIFIED = """
SELECT c.collection FROM _crossfade.collection c
WHERE EXISTS (
    SELECT FROM _crossfade.unverified u
    WHERE u.collection IN (c.collection, c.database || '/*')
      AND u.id > coalesce((SELECT max(r.unverified_before) FROM _crossfade.run r
                           WHERE r.collection = c.collection AND r.kind = 'verify' AND r.state = 'done'), 0))
ORDER BY c.collection
"""
TIMEOUT = 150.0  # seconds for an answer, for a proxy to start, or to drain: the machine may be busy with other things
_POLL_INTERVAL = 0.05  # seconds; asking more often would only take the time of the proxy that is asked
_MAX_STARTS = 5
_PORT_TAKEN = "address already in use"
_FULL_DISK_BYTES = 16  # bytes that a file may have while the disk is "full"


def _asking() -> httpx.AsyncClient:
    """Return a plain HTTP client without TLS, which would load all known certificates each time."""
    return httpx.AsyncClient(verify=False, timeout=TIMEOUT)


class Proxy:
    """`crossfade proxy run` as a process. Every run uses the same state directory and the clock `wall`."""

    def __init__(self, origin: str, dsn: str, folder: Path, name: str = "state", **settings: str) -> None:
        self.port = self.admin = 0
        self.state = folder / name
        self.environment = {
            **os.environ,
            "CROSSFADE_ORIGIN": origin,
            "CROSSFADE_DSN": dsn,
            "CROSSFADE_STATE_DIR": str(self.state),
            "CROSSFADE_HEARTBEAT": "0.05",
            "CROSSFADE_LOST_REQUEST_TIMEOUT": "0.3",
            "CROSSFADE_LEASE": "5",  # a slow heartbeat on a loaded machine must not count as silence
            **settings,
        }
        self.wall = Wall(folder / f"{name}.clock")
        self._log = folder / f"{name}.log"
        self._ports()
        self._heard = 0
        self.process: subprocess.Popen[bytes] | Forked | None = None
        self.forks = False  # whether the next start forks a process that has imported everything

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _ports(self) -> None:
        self.port, self.admin = free_port(), free_port()
        self.environment |= {"CROSSFADE_LISTEN_PORT": str(self.port), "CROSSFADE_ADMIN_PORT": str(self.admin)}

    async def start(self, fault: str = "", *, wait: bool = True) -> None:
        """Start the process, and `wait` until it is ready.

        Retry if another process took its port, the first time on another.
        """
        first = not self._log.exists()
        for attempts_left in reversed(range(_MAX_STARTS)):
            await self._launch(fault)
            try:
                if wait:
                    await eventually(self._ready, "the proxy is ready", _POLL_INTERVAL)
                return
            except AssertionError:
                if self.running or not attempts_left or _PORT_TAKEN not in self.log_text()[-2000:]:
                    raise
            if first:
                self._ports()
            await asyncio.sleep(1)

    async def _launch(self, fault: str) -> None:
        environment = {**self.environment, **({"CROSSFADE_FAULT": fault} if fault else {})}
        if self.forks:
            self.process = await asyncio.to_thread(Forked, self.wall.path, environment, self._log)
        else:
            with self._log.open("ab") as log:
                self.process = subprocess.Popen(
                    [sys.executable, "-m", "tests.faults.clocks", str(self.wall.path), "proxy", "run"],
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )

    async def supervised(self) -> None:
        """Restart it until it runs, as a supervisor does: a new instance without PostgreSQL exits with an error."""
        for _ in range(20):
            await self.start(wait=False)
            while self.running:
                if await self._ready():
                    return
                await asyncio.sleep(0.05)
        raise AssertionError(self.log_text()[-2000:])

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def log_text(self) -> str:
        return self._log.read_text(errors="replace")

    def tracebacks(self) -> list[str]:
        """Return the lines of its log about errors that it did not expect."""
        return [line[:300] for line in self.log_text().splitlines() if "Traceback" in line or "failed_task" in line]

    async def died(self) -> int:
        assert self.process is not None
        return await asyncio.to_thread(self.process.wait, 30)

    def new_log_text(self) -> str:
        """Return what it wrote to its log since the last call."""
        if not self._log.exists():
            return ""
        with self._log.open("rb") as log:
            log.seek(self._heard)
            text = log.read()
            self._heard = log.tell()
        return text.decode(errors="replace")

    async def _ready(self) -> bool:
        assert self.running, self.log_text()[-2000:]
        async with _asking() as client:
            try:
                return (await client.get(f"http://127.0.0.1:{self.admin}/readyz")).status_code == 200
            except httpx.TransportError:
                return False

    async def backlog(self) -> int:
        async with _asking() as client:
            status = await client.get(f"http://127.0.0.1:{self.admin}/status")
            return int(status.json()["backlog"])

    async def drained(self) -> None:
        async def empty() -> bool:
            return await self.backlog() == 0

        await eventually(empty, "the backlog is empty", _POLL_INTERVAL)

    def kill(self, how: signal.Signals = signal.SIGKILL) -> int:
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(30)

    def disk(self, *, full: bool) -> None:
        """Keep every file of the process from growing, as on a full disk, or allow it again."""
        assert self.process is not None
        _, hard = resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE)
        soft = _FULL_DISK_BYTES if full else hard
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (soft, hard))


@dataclass
class Environment:
    """Everything of one test. `dsn` and `origin.url` are direct; the proxy goes through the two chaos proxies."""

    origin: Origin
    server: EmbeddedPostgres
    to_origin: Chaos
    to_target: Chaos
    dsn: str
    folder: Path
    wall: Wall  # ArangoDB's clock

    def proxy(self, name: str = "state", **settings: str) -> Proxy:
        proxied_dsn = self.dsn.replace(f":{self.server.port}/", f":{self.to_target.port}/")
        return Proxy(f"http://127.0.0.1:{self.to_origin.port}", proxied_dsn, self.folder, name, **settings)

    async def mirrored(self, *, everything: bool = False) -> None:
        """Mirror `books`, or every existing and future collection. A proxy must run."""
        targets = [DesiredState(BOOKS, Stage.MIRROR)]
        if everything:
            await traffic.prepare(self.origin.url)
            targets = [
                DesiredState(f"_system/{name}", Stage.MIRROR, edge=name == "knows") for name in traffic.COLLECTIONS
            ]
            targets.append(DesiredState("_system/*", Stage.MIRROR))
        else:
            async with httpx.AsyncClient(base_url=self.origin.url) as direct:
                await direct.post("/_api/collection", json={"name": "books"})
        database = await Database.open(self.dsn, size=4)
        try:
            await controller.change(
                database,
                targets,
                settings=load(dsn=self.dsn),
                actor="test",
                reason="test",
                timeout=TIMEOUT,
            )
        finally:
            await database.close()

    async def differences(self) -> list[str]:
        return await differences(self.origin.url, self.dsn, BOOKS)

    async def verified(self, collections: Sequence[str]) -> None:
        """Repair the collections by a verification, as an operator's command does."""
        await self._crossfade("verify", "--repair", *(f"_system/{name}" for name in collections))

    async def repaired(self, collection: str, key: str) -> None:
        """Repair one document, as an operator's command does."""
        await self._crossfade("repair", collection, key)

    async def _crossfade(self, *command: str) -> None:
        done = await asyncio.create_subprocess_exec(
            *(str(Path(sys.executable).with_name("crossfade")), *command),
            env={**os.environ, "CROSSFADE_ORIGIN": self.origin.url, "CROSSFADE_DSN": self.dsn},
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        _, output = await done.communicate()
        assert done.returncode in (0, 1), output.decode(errors="replace")[-1000:]

    async def unverified(self) -> list[str]:
        """Return the collections with a mark that no finished verification covers."""
        connection = await asyncpg.connect(self.dsn)
        try:
            rows = await connection.fetch(_UNVERIFIED)
        finally:
            await connection.close()
        return [row["collection"] for row in rows]

    async def unmarked(self) -> None:
        """Clear all marks and dead letters, so that later ones are reported again."""
        connection = await asyncpg.connect(self.dsn)
        try:
            await connection.execute("DELETE FROM _crossfade.unverified")
        finally:
            await connection.close()

    async def reported_out_of_band(self) -> list[str]:
        """Return the documents that the watch reported as out-of-band writes."""
        database = await Database.open(self.dsn, size=1)
        try:
            rows = await database.fetch(
                "SELECT collection || '/' || key AS name FROM _crossfade.out_of_band_write ORDER BY 1"
            )
        finally:
            await database.close()
        return [row["name"] for row in rows]

    async def marks(self) -> list[str]:
        database = await Database.open(self.dsn, size=1)
        try:
            rows = await database.fetch("SELECT collection, reason FROM _crossfade.unverified ORDER BY id")
        finally:
            await database.close()
        return [f"{row['collection']}: {row['reason']}" for row in rows]


@contextlib.asynccontextmanager
async def fault_environment(server: EmbeddedPostgres, dsn: str, folder: Path) -> AsyncIterator[Environment]:
    """Start the environment. `server` is the PostgreSQL of `dsn`."""
    wall = Wall(folder / "origin.clock")
    origin = Origin(MemoryStore(wall.revisions, wall))
    await origin.start()
    try:
        async with Chaos(origin.port) as to_origin, Chaos(server.port) as to_target:
            yield Environment(origin, server, to_origin, to_target, dsn, folder, wall)
    finally:
        await origin.stop()
