"""ArangoDB, PostgreSQL, two proxies and the command as processes, each with lines of its own to both databases."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import asyncpg
import httpx

from deploy.demo.postgres import EmbeddedPostgres
from proxy.base.arango_client import OriginClient
from proxy.base.config import Settings, load
from proxy.base.database import Database as Connected
from proxy.carryover import promotion_gates
from proxy.control import controller
from proxy.control.gates.gate_types import Gate
from proxy.control.gates.rules.reverse_channel_proven import NAME as CHANNEL
from proxy.control.transitions_plan import DesiredState
from proxy.model.stages import Stage
from tests.ad_hoc import Database
from tests.faults.chaos import Chaos
from tests.faults.environment import TIMEOUT, Environment, Proxy, fault_environment
from tests.faults.forked_proxies import Forked
from tests.faults.oracle import COLLECTION
from tests.faults.points import Points
from tests.harness import eventually

BOOKS: Final = f"_system/{COLLECTION}"
PROXIES: Final = 2
LEASE: Final = 1.0  # seconds; what is delivered
LATE_REQUEST: Final = 0.5  # seconds for which a lost request may still happen
ACCOUNT: Final = ("crossfade", "of crossfade alone")
_CLIENTS: Final = ("root",)  # ArangoDB's users whose rights a promotion takes
_COMMAND_SECONDS: Final = 120.0
_AS_ROOT: Final = ("root", "")
_PREPARATIONS: Final = (("backfill", BOOKS), ("verify", "--full", BOOKS), ("accounts", "copy"))


@dataclass(slots=True)
class Line:
    """The connections of one process to both databases."""

    to_origin: Chaos
    to_target: Chaos

    def heal(self) -> None:
        self.to_origin.heal()
        self.to_target.heal()


@dataclass(frozen=True, slots=True)
class Done:
    """A command that has ended. code: its exit code, negative if a signal ended it. text: what it printed."""

    code: int
    text: str


@dataclass
class Stack:
    """Everything of one run. lines: of the proxies; command_line: of the command; points: of each proxy."""

    env: Environment
    proxies: list[Proxy]
    lines: list[Line]
    points: list[Points]
    command_line: Line
    asleep: set[int] = field(default_factory=set)
    _woke: dict[int, float] = field(default_factory=dict)
    _commands: int = 0

    @property
    def ports(self) -> list[int]:
        return [proxy.port for proxy in self.proxies]

    # ---- the command

    async def crossfade(self, *arguments: str, fault: str = "") -> Done:
        """Run a command as a process. fault: the point at which it kills itself."""
        self._commands += 1
        log = self.env.folder / f"command{self._commands}.log"
        environment = {
            **self.proxies[0].environment,
            **_origin_of(self.command_line),
            "CROSSFADE_DSN": self.env.dsn.replace(f":{self.env.server.port}/", f":{self.command_line.to_target.port}/"),
            "CROSSFADE_FAULT": fault,
        }
        process = await asyncio.to_thread(
            Forked, self.proxies[0].wall.path, environment, log, arguments, _without_channel
        )
        try:
            code = await asyncio.to_thread(process.wait, _COMMAND_SECONDS)
        finally:
            process.send_signal(signal.SIGKILL)
        return Done(code, await asyncio.to_thread(log.read_text, errors="replace"))

    # ---- stopped and killed proxies

    def stop(self, number: int) -> None:
        """Stop a proxy (SIGSTOP)."""
        self.signal(number, signal.SIGSTOP)
        self.asleep.add(number)

    def resume(self, number: int) -> None:
        """Continue a stopped proxy."""
        self.signal(number, signal.SIGCONT)
        self.woke(number)

    def woke(self, number: int) -> None:
        """Note that a proxy continues, whatever had stopped it."""
        self.asleep.discard(number)
        self._woke[number] = time.monotonic()

    def was_frozen(self, number: int, since: float) -> bool:
        """Return True if a proxy was stopped at some time since then."""
        return number in self.asleep or self._woke.get(number, 0.0) > since

    def signal(self, number: int, which: signal.Signals) -> None:
        """Send a signal to a proxy."""
        process = self.proxies[number].process
        assert process is not None
        process.send_signal(which)

    async def arm(self, number: int, plan: str) -> None:
        """Let a running proxy report when it reaches a point (`name:nth`); an empty text: none."""
        await self.points[number].arm(plan, lambda: self.signal(number, signal.SIGUSR2))

    async def supervised(self) -> None:
        """Restart every proxy that has ended, as a supervisor does."""
        for number, proxy in enumerate(self.proxies):
            if not proxy.running:
                await proxy.start(f"@{self.points[number].path}")

    async def mended(self) -> None:
        """End every fault: continue, connect and restart what was stopped, cut or killed."""
        for line in (*self.lines, self.command_line):
            line.heal()
        for number in tuple(self.asleep):
            self.resume(number)
        await self.supervised()

    # ---- ArangoDB's users

    async def levels(self) -> dict[str, str]:
        """Return what ArangoDB's users may do with the collection, by user."""
        found = {}
        async with httpx.AsyncClient(base_url=self.env.origin.url, auth=ACCOUNT, timeout=TIMEOUT) as direct:
            for user in _CLIENTS:
                answer = await direct.get(f"/_api/user/{user}/database/{BOOKS}")
                found[user] = str(answer.raise_for_status().json()["result"])
        return found


def _without_channel() -> None:
    """Leave out the gate that tries the reverse channel: here the rounds do that."""
    judge = promotion_gates.judge_promotion

    async def judged(
        database: Connected, settings: Settings, origin: OriginClient, collections: Sequence[str]
    ) -> Mapping[str, tuple[Gate, ...]]:
        found = await judge(database, settings, origin, collections)
        return {name: tuple(gate for gate in gates if gate.name != CHANNEL) for name, gates in found.items()}

    promotion_gates.judge_promotion = judged


def _origin_of(line: Line) -> dict[str, str]:
    return {
        "CROSSFADE_ORIGIN": f"http://127.0.0.1:{line.to_origin.port}",
        "CROSSFADE_ORIGIN_USER": ACCOUNT[0],
        "CROSSFADE_ORIGIN_PASSWORD": ACCOUNT[1],
    }


async def _accounts(url: str) -> None:
    """Create Crossfade's own account, before the origin begins to check credentials."""
    async with httpx.AsyncClient(base_url=url, auth=_AS_ROOT, timeout=TIMEOUT) as direct:
        made = await direct.post("/_api/user", json={"user": ACCOUNT[0], "passwd": ACCOUNT[1]})
        made.raise_for_status()
        for scope in ("_system", "_system/*", "*"):
            (await direct.put(f"/_api/user/{ACCOUNT[0]}/database/{scope}", json={"grant": "rw"})).raise_for_status()


@contextlib.asynccontextmanager
async def stack(folder: Path, server: EmbeddedPostgres, dsn: str, **settings: str) -> AsyncIterator[Stack]:
    """Start everything, with the collection flipped at 100 %. settings: of the proxies, as environment variables."""
    async with contextlib.AsyncExitStack() as owned:
        env = await owned.enter_async_context(fault_environment(server, dsn, folder))
        lines = []
        for _ in range(PROXIES + 1):
            to_origin = await owned.enter_async_context(Chaos(env.origin.port))
            lines.append(Line(to_origin, await owned.enter_async_context(Chaos(server.port))))
        command_line = lines.pop()
        await _accounts(env.origin.url)
        proxies, points = [], []
        for number, line in enumerate(lines):
            own = folder / f"points{number}"
            own.mkdir()
            points.append(await owned.enter_async_context(Points(own)))
            environment = {
                **_origin_of(line),
                "CROSSFADE_LEASE": str(LEASE),
                "CROSSFADE_HEARTBEAT": "0.1",
                "CROSSFADE_SAMPLE_PERCENT": "10",
                "CROSSFADE_LOST_REQUEST_TIMEOUT": str(LATE_REQUEST),
                "CROSSFADE_WORKERS": "1",
                **settings,
            }
            origin = environment.pop("CROSSFADE_ORIGIN")
            to_target = dsn.replace(f":{server.port}/", f":{line.to_target.port}/")
            proxies.append(Proxy(origin, to_target, folder, f"proxy{number}", **environment))
            proxies[-1].forks = True
        made = Stack(env, proxies, lines, points, command_line)
        try:
            for number, proxy in enumerate(proxies):  # one after the other: a machine that is busy takes its time
                await proxy.start(f"@{points[number].path}")
            await env.mirrored()
            env.origin.store.server.accounts.enforce("")
            for command in _PREPARATIONS:
                done = await made.crossfade(*command)
                assert done.code == 0, done
            await flip(made)
            yield made
        finally:
            for number in tuple(made.asleep):
                made.resume(number)
            for proxy in proxies:
                if proxy.running:
                    await asyncio.to_thread(proxy.kill)


async def flip(made: Stack) -> None:
    """Flip the collection. No gate that needs reads to be compared is asked."""
    database = await Database.open(made.env.dsn, size=4)
    try:
        for target in (DesiredState(BOOKS, Stage.SHADOW), DesiredState(BOOKS, Stage.FLIPPED, 100)):
            await controller.change(
                database,
                [target],
                settings=load(dsn=made.env.dsn),
                actor="promotions",
                reason="test",
                force=True,
                timeout=TIMEOUT,
            )
    finally:
        await database.close()


async def all_live(dsn: str, *, carried: bool = True) -> None:
    """Wait until both proxies are live and at the generation of the control row.

    carried: and until nothing is left to carry, which it may never be while clients write.
    """
    connection = await asyncpg.connect(dsn)

    async def settled() -> bool:
        return bool(
            await connection.fetchval(
                "SELECT count(*) = $1 FROM _crossfade.instance i, _crossfade.control c WHERE i.stopped_at IS NULL "
                "AND i.generation = c.generation AND i.lease_until > clock_timestamp() AND c.phase = 'settled' "
                "AND NOT c.closing AND (NOT $2 OR i.backlog = 0 AND NOT EXISTS (SELECT FROM _crossfade.outbox))",
                PROXIES,
                carried,
            )
        )

    try:
        await eventually(settled, "both proxies are live, and nothing is left to carry", 0.05)
    finally:
        await connection.close()
