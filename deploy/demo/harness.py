"""What the steps of the demo are made of: servers, clients, looks at either database, and assertions."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from rich.console import Console

from deploy.demo import db_checks, fake_data, records
from deploy.demo.cli_runner import DemoFailed, Verbs
from deploy.demo.fake_data import DATABASE, RESUMES
from deploy.demo.loader import Document
from deploy.demo.read_load import sweep
from deploy.demo.result_table import Outcome, scrape
from deploy.demo.service import ResumeService
from deploy.demo.stack import Options, Stack
from deploy.demo.traffic import Traffic

_T = TypeVar("_T")
_PATIENCE = 120.0  # seconds without any progress after which the demo gives up
_ENDLESS = 900.0  # seconds after which it does whatever moves
_WINDOWS = 20
SERVICE = tuple((DATABASE, name) for name in fake_data.COLLECTIONS)
REFERENCE = tuple((records.DATABASE, name) for name in ("languages", "subdivisions", "licences", "emoji"))
NAMES = tuple(f"{database}/{name}" for database, name in (*SERVICE, *REFERENCE))


@dataclass(frozen=True, slots=True)
class Play:
    """How the demo runs. rate: requests a second of all clients; steady: seconds that each measured phase lasts;
    comparisons: how many each collection needs for its flip (production: 3,000 and days). share: part of all records
    that is loaded, lost_request_timeout: seconds after which a lost request can no longer run; both for short tests.
    """

    folder: Path | None = None
    clients: int = 6
    rate: float = 120.0
    steady: float = 6.0
    comparisons: int = 500
    share: float = 1.0
    lost_request_timeout: float = 10.0
    password: str = ""


class Harness:
    """One run's servers, clients and figures. `close` stops them all."""

    def __init__(self, play: Play, console: Console) -> None:
        settings = {
            "CROSSFADE_LEASE": "3",
            "CROSSFADE_LOST_REQUEST_TIMEOUT": str(play.lost_request_timeout),
            "CROSSFADE_LOG_LEVEL": "warning",
        }
        self.stack = Stack(Options.free(folder=play.folder, settings=settings))
        self.console = console
        self.outcome = Outcome()
        self._play = play
        self._verbs = Verbs(self.stack, console)
        self._loaded: dict[tuple[str, str], list[Document]] = {}
        self._profiles: dict[str, str] = {}
        self._traffic: Traffic | None = None
        self._explained: set[int] = set()
        self._waiting: list[str] = []  # what the last condition lacked

    @property
    def traffic(self) -> Traffic:
        assert self._traffic is not None
        return self._traffic

    def close(self) -> None:
        """Stops clients and servers."""
        try:
            if self._traffic is not None:
                self._traffic.stop()
        finally:
            self.stack.stop()

    async def _load_users(self, history: fake_data.History) -> None:
        async with db_checks.Target.open(self.stack.dsn) as target:
            await target.load_users(history.users)
            self._profiles = await target.profiles()

    async def _falsify(self, key: str, path: tuple[str, ...]) -> None:
        await self._ask(lambda target: target.falsify(DATABASE, RESUMES, key, path, "Nobody In Particular"))

    async def _same_now(self, key: str) -> bool:
        origin = db_checks.Origin(self.stack.arango_url, password=self._play.password)
        row = (await self._ask(lambda target: target.documents(DATABASE, RESUMES))).get(key)
        text = origin.documents(DATABASE, RESUMES)[key]
        return row is not None and db_checks.compare("", {key: text}, {key: row}).equal

    def _victim(self) -> str:
        """A parsed résumé that a profile names, so that no client writes it meanwhile."""
        resumes = self.traffic.expected()[RESUMES]
        return next(key for key in self._profiles.values() if resumes[key]["status"] == "parsed")

    def _repair(self, path: str) -> None:
        """Until nothing is open: reads of lists that held the document may have been found meanwhile."""
        seen: set[int] = set()
        while opened := {found["id"] for found in self._verbs.json("mismatches", "list")}:
            for number in sorted(opened - self._explained):
                self._explain(number, path)
            seen |= opened
            self._verbs.run("mismatches", "repair", *map(str, sorted(opened)))
        self.outcome.found += len(seen)
        self.outcome.repaired += len(seen)

    def _refused(self, why: str, *arguments: str) -> None:
        self._verbs.run(*arguments, expect=1, most=24)
        self.outcome.refused_flips += 1
        self._good(f"refused: {why}")

    def _enough(self) -> None:
        """Brings about the comparisons that the gates want, then asks the gates."""
        wanted = self._play.comparisons
        self.traffic.phase("shadow, in a hurry", hurry=True)
        self._until(self._compared_enough, f"at least {wanted:,} reads of each collection were compared")
        self.traffic.phase("shadow")
        if not self._gates_pass():
            self._replay()
            self._until(self._gates_pass, "every gate passes")
        else:
            self._good("every gate passes")

    def _compared_enough(self) -> bool:
        """Reads the reference data, which no client reads, as long as that lacks comparisons."""
        counts = self._compared()
        self._waiting = [f"{name}: {count:,}" for name, count in counts.items() if count < self._play.comparisons]
        if self._waiting:
            reference = {place: self._loaded[place] for place in REFERENCE if "/".join(place) in counts}
            lacking = {
                place: found for place, found in reference.items() if counts["/".join(place)] < self._play.comparisons
            }
            reads = self._play.comparisons
            self.outcome.tally.add(sweep(self.stack.url, lacking, reads=reads, password=self._play.password))
        return not self._waiting

    def _replay(self) -> None:
        """Sends the reads that clients rarely send once more, as an operator does before a flip."""
        arguments = ("shadow", "replay", *NAMES, "--proxy", self.stack.url, "--rate", "200", "--seconds", "60")
        done = self._verbs.run(*arguments, expect=None, most=30)
        if done.code == 0:
            self._good("reads that clients rarely send were compared as often as the gates ask")

    def _compared(self) -> dict[str, int]:
        found = asyncio.run(self._ask(db_checks.Target.compared))
        return {name: found.get(name, 0) for name in NAMES}

    def _share_until(self, enough: Callable[[float], bool], what: str, seconds: float = 2.0) -> None:
        """Lets clients work, `seconds` at a time, until the share of reads that PostgreSQL served is as it must be.

        More than once only where the machine is so busy that a lease ran out: ArangoDB answers then, and rightly.
        """
        share = 0.0
        for _ in range(_WINDOWS):
            share = self._share_for(seconds)
            if enough(share):
                self._good(what)
                return
        raise DemoFailed(f"not true: {what}: {share:.0%} in the last {seconds:.0f} s")

    def _share_for(self, seconds: float) -> float:
        """Lets the clients work; the share of comparable reads that PostgreSQL served meanwhile, by the metrics."""
        before = self._served()
        self._run_for(seconds)
        after = self._served()
        target, origin = (after.get(by, 0) - before.get(by, 0) for by in ("target", "origin"))
        share = target / max(target + origin, 1)
        self._good(f"{target:,.0f} of {target + origin:,.0f} reads came from PostgreSQL: {share:.0%}")
        return share

    def _gates_pass(self) -> bool:
        told = self._verbs.json("gates", *NAMES, expect=None)
        self._waiting = [
            f"{name}: {gate['name']} is {gate['verdict']}: {gate['figures']}"
            for name, gates in told.items()
            for gate in gates
            if gate["verdict"] != "pass"
        ]
        return not self._waiting

    def _rejoined(self) -> bool:
        """After a crash the proxy drains; it keeps the flip, or takes it back where its journal does not prove all."""
        told = self._status()
        stages = {told["collections"].get(name, {}).get("stage") for name in NAMES}
        self._waiting = [f"backlog {told['backlog']}, diverged: {told['diverged']}, stages: {sorted(map(str, stages))}"]
        return not told["diverged"] and not told["backlog"] and stages <= {"shadow", "flipped"} and len(stages) == 1

    def _flipped(self) -> bool:
        told = self._status()
        return all(told["collections"][name]["stage"] == "flipped" for name in NAMES)

    async def _ask(self, question: Callable[[db_checks.Target], Awaitable[_T]]) -> _T:
        async with db_checks.Target.open(self.stack.dsn) as target:
            return await question(target)

    def _explain(self, number: int, path: str) -> None:
        """One mismatch, in the words of the explanation that is kept with it."""
        self._explained.add(number)
        shown = self._verbs.json("mismatches", "show", str(number))
        (sample, *_) = shown["samples"]
        self.console.print(f"[bold cyan]$ crossfade mismatches show {number}[/bold cyan]")
        for name in ("origin_rev", "target_rev", "explanation"):
            if sample[name] is not None:
                self.console.print(f"    {name}: {sample[name]}", highlight=False, markup=False)
        named = any(one.endswith(path) for one in shown["paths"]) and bool(sample["explanation"])
        self._check(named, f"explained: {shown['kind']} at {', '.join(shown['paths'])}")
        self.outcome.explained += 1

    def _profiles_led_home(self) -> int:
        service = ResumeService.connect(self.stack.url, DATABASE, password=self._play.password)
        found = ((user, service.get(RESUMES, key)) for user, key in self._profiles.items())
        return sum(resume is not None and resume["user_id"] == user for user, resume in found)

    def _lost(self, origin: db_checks.Origin) -> list[str]:
        """What clients were told was stored (or deleted), held against ArangoDB itself."""
        lost = []
        for name, expected in self.traffic.expected().items():
            stored = {key: json.loads(text) for key, text in origin.documents(DATABASE, name).items()}
            for key in stored.keys() | expected.keys():
                there = {k: v for k, v in stored.get(key, {}).items() if k not in ("_id", "_rev")}
                if there != expected.get(key, {}):
                    lost.append(f"{DATABASE}/{name}/{key}: not what was acknowledged")
        return lost

    def _served(self) -> Counter[str]:
        """Reads by who served them, since the proxy's start."""
        served: Counter[str] = Counter()
        for name, labels, value in scrape(self.stack.admin_url):
            if name == "crossfade_requests_total" and labels["endpoint"] in ("document.read", "cursor.create"):
                served[labels["served_by"]] += int(value)
        return served

    def _count_metrics(self) -> None:
        for name, labels, value in scrape(self.stack.admin_url):
            if name == "crossfade_mirror_changes_applied_total":
                self.outcome.mirrored += int(value)
            elif name == "crossfade_shadow_comparisons_total":
                self.outcome.compared += int(value)
            elif name == "crossfade_requests_total" and labels["status"].startswith("5"):
                self.outcome.server_errors += int(value)

    def _status(self) -> Document:
        return db_checks.fetch_json(self.stack.admin_url, "/status")

    def _measure(self, phase: str) -> None:
        tally = self.traffic.tally()
        p50, p99 = tally.percentile(50, phase), tally.percentile(99, phase)
        self.outcome.latency[phase] = (p50, p99)
        self._good(f"{len(tally.seconds.get(phase, ())):,} requests, p50 {p50:.1f} ms, p99 {p99:.1f} ms, none failed")

    def _run_for(self, seconds: float) -> None:
        """Lets the clients work."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._healthy()
            time.sleep(0.1)

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        """Waits as long as something moves: what a condition lacks (`_waiting`) must change within _PATIENCE seconds.

        On a slow or busy machine everything takes longer, and nothing else is different.
        """
        began = moved = time.monotonic()
        lacked: list[str] = []
        while not condition():
            self._healthy()
            now = time.monotonic()
            if self._waiting != lacked:
                lacked, moved = list(self._waiting), now
            if now - moved > _PATIENCE or now - began > _ENDLESS:
                raise DemoFailed("\n".join([f"after {now - began:.0f} s it is still not true: {what}", *self._waiting]))
            time.sleep(0.2)
        self._waiting = []
        self._good(what)

    def _healthy(self) -> None:
        """Raises where a server ended, a client broke, a request failed, an answer was wrong."""
        ended = self.stack.ended()
        if ended is not None:
            raise DemoFailed(f"{ended.name} has ended: {ended.tail()}")
        if self._traffic is None:
            return
        self._traffic.check()
        for client in self._traffic.clients:
            for trouble in (*client.tally.failed, *client.tally.wrong):
                raise DemoFailed(trouble)

    def _loaded_one(self, name: str, count: int) -> None:
        self._good(f"{name}: {count:,} documents")

    def _check(self, condition: bool, what: str) -> None:
        if not condition:
            raise DemoFailed(f"not true: {what}")
        self._good(what)

    def _good(self, what: str) -> None:
        self.console.print(f"  [green]✓[/green] {what}", highlight=False)
