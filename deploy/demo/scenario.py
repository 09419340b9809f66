"""The main job on real records: from the first request through the proxy to reads from PostgreSQL, and back, and again.

Each step says what it does, does it by the command line, and asserts; the first thing that is not as it must be ends
the run. What the whole run has to show is in `outcome`.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from deploy.demo import direct, generated, records
from deploy.demo.generated import DATABASE, RESUMES
from deploy.demo.loader import Document, load_all
from deploy.demo.outcome import Outcome, report, scrape
from deploy.demo.service import ResumeService
from deploy.demo.stack import Options, Stack
from deploy.demo.sweep import sweep
from deploy.demo.traffic import Traffic
from deploy.demo.verbs import DemoFailed, Verbs

_SERVICE = tuple((DATABASE, name) for name in generated.COLLECTIONS)
_REFERENCE = tuple((records.DATABASE, name) for name in ("languages", "subdivisions", "licences", "emoji"))
_NAMES = tuple(f"{database}/{name}" for database, name in (*_SERVICE, *_REFERENCE))


@dataclass(frozen=True, slots=True)
class Play:
    """How the demo runs. rate: requests a second of all clients; steady: seconds that each measured phase lasts;
    comparisons: how many each collection needs for its flip (production: 3,000 and days). share: part of all records
    that is loaded, for tests in a hurry.
    """

    folder: Path | None = None
    clients: int = 6
    rate: float = 120.0
    steady: float = 7.0
    comparisons: int = 1000
    share: float = 1.0
    password: str = ""


class Scenario:
    """One run. `play` returns the outcome; the stack stays up until `close`."""

    def __init__(self, play: Play, console: Console) -> None:
        settings = {"CROSSFADE_GATE_COMPARISONS": str(play.comparisons), "CROSSFADE_LOG_LEVEL": "warning"}
        self.stack = Stack(Options.free(folder=play.folder, settings=settings))
        self.console = console
        self.outcome = Outcome()
        self._play = play
        self._verbs = Verbs(self.stack, console)
        self._loaded: dict[tuple[str, str], list[Document]] = {}
        self._profiles: dict[str, str] = {}
        self._traffic: Traffic | None = None

    @property
    def traffic(self) -> Traffic:
        assert self._traffic is not None
        return self._traffic

    def play(self) -> Outcome:
        """All steps. Raises DemoFailed, ConfigurationError, or what a client was broken by."""
        steps: list[tuple[str, Callable[[], None]]] = [
            ("History: ArangoDB and PostgreSQL before there is a proxy", self._history),
            ("Live traffic, straight to ArangoDB", self._direct),
            ("The proxy goes in front; nothing else changes", self._in_front),
            ("Mirror: every write into both databases; backfill, verify", self._mirror),
            ("Shadow: reads are compared; somebody tampers with PostgreSQL", self._tamper),
            ("Shadow: enough comparisons", self._compare),
            ("Flip: 10 %, all, back, all again", self._flip),
            ("kill -9 of the proxy, in mid-traffic", self._kill),
            ("Both databases, read directly", self._settle),
        ]
        began = time.monotonic()
        for number, (title, step) in enumerate(steps, 1):
            self.console.print()
            self.console.rule(f"[bold]{number}. {title}[/bold]", align="left")
            step()
            self._healthy()
        self.outcome.seconds = time.monotonic() - began
        return self.outcome

    def close(self) -> None:
        """Stops clients and servers."""
        try:
            if self._traffic is not None:
                self._traffic.stop()
        finally:
            self.stack.stop()

    # the steps

    def _history(self) -> None:
        self.stack.start_postgres()
        self.stack.start_arangodb()
        share = self._play.share
        sizes = {"users": 200, "resumes": 2000, "jobs": 1800, "results": 1200}
        history = generated.history(**{name: int(size * share) for name, size in sizes.items()})
        self._loaded = load_all(
            self.stack.arango_url, history, share=share, password=self._play.password, note=self._loaded_one
        )
        asyncio.run(self._load_users(history))
        self._traffic = Traffic(
            self.stack.arango_url,
            [user.id for user in history.users],
            clients=self._play.clients,
            rate=self._play.rate,
            password=self._play.password,
        )
        for database, name in _SERVICE:
            self._traffic.own(name, self._loaded[database, name])
        self._traffic.reserve(self._profiles.values())
        self._good(
            f"{len(history.users)} users in PostgreSQL, {len(self._profiles)} with a profile that names a résumé"
        )

    def _direct(self) -> None:
        self.traffic.start()
        self._run_for(self._play.steady)
        self._measure("direct")

    def _in_front(self) -> None:
        self.stack.migrate()
        self.stack.start_proxy()
        self._good(
            f"the proxy answers on {self.stack.url}, and is given to the clients in place of {self.stack.arango_url}"
        )
        self.traffic.to(self.stack.url, "off")
        home = self._profiles_led_home()
        self.outcome.profiles = (len(self._profiles), home, 0)
        self._check(home == len(self._profiles), f"{home} profiles lead to their résumé, through the proxy")
        self._refused("it is much too early for a flip", "flip", f"{DATABASE}/{RESUMES}")

    def _mirror(self) -> None:
        self.traffic.phase("mirror")
        self._verbs.run("mirror", *_NAMES)
        self._verbs.watch("backfill", *_NAMES)
        self._verbs.watch("verify", "--full", *_NAMES)

    def _tamper(self) -> None:
        self._verbs.run("shadow", *_NAMES)
        self.traffic.phase("shadow")
        key = self._victim()
        path = ("resume_data", "contact_info", "full_name")
        asyncio.run(self._falsify(key, path))
        self._good(f"one value deep in résumé {key} was changed in PostgreSQL, by hand, at the same revision")
        service = ResumeService.connect(self.stack.url, DATABASE, password=self._play.password)
        told = service.get(RESUMES, key)
        expected = self.traffic.expected()[RESUMES][key]
        self._check(
            told is not None and told["resume_data"] == expected["resume_data"],
            "a client that reads it gets ArangoDB's answer",
        )
        self._until(lambda: bool(self._open_mismatches()), "the shadow has caught it")
        self._verbs.run("mismatches", "list")
        for found in self._open_mismatches():
            shown = self._verbs.run("mismatches", "show", str(found["id"]), most=24)
            self.outcome.explained += "full_name" in shown.output
        self._refused("a collection with a mismatch does not flip", "flip", f"{DATABASE}/{RESUMES}")
        self._repair()
        self._check(asyncio.run(self._same_now(key)), "PostgreSQL has the document as ArangoDB has it")

    def _compare(self) -> None:
        self.traffic.phase("shadow, in a hurry", hurry=True)
        reference = {place: self._loaded[place] for place in _REFERENCE}
        tally = sweep(self.stack.url, reference, reads=self._play.comparisons, password=self._play.password)
        self.outcome.tally.add(tally)
        self._until(self._gates_pass, "every gate passes", 90)
        self.traffic.phase("shadow")
        self._run_for(self._play.steady)
        self._measure("shadow")
        self._verbs.run("gates", f"{DATABASE}/{RESUMES}", most=30)

    def _flip(self) -> None:
        self.traffic.phase("flipped 10 %")
        self._verbs.run("flip", "--percent", "10", *_NAMES)
        self._run_for(2)
        self.traffic.phase("flipping")
        self._flip_all()
        self._until(lambda: self._served("target") > 0, "PostgreSQL answers")
        self.traffic.phase("flipped")
        self._run_for(self._play.steady)
        self._measure("flipped")
        self.traffic.phase("rolled back")
        self._verbs.run("rollback", *_NAMES)
        self._run_for(2)
        self.traffic.phase("shadow, in a hurry", hurry=True)
        self._until(self._gates_pass, "every gate passes again", 90)
        self.traffic.phase("flipped again")
        self._flip_all()
        self._run_for(2)

    def _kill(self) -> None:
        self.traffic.phase("killed")
        self._count_metrics()
        self.traffic.cutting()
        self.stack.kill_proxy()
        self._good("the proxy is dead: SIGKILL, requests under way were cut off")
        self.stack.start_proxy()
        self.traffic.mended()
        self._good("it is there again, with the same journal")
        self._run_for(4)
        self._verbs.run("status", most=30)

    def _settle(self) -> None:
        self.traffic.stop()
        self._until(lambda: self._status()["backlog"] == 0, "the backlog is empty")
        self._count_metrics()
        self.outcome.tally.add(self.traffic.tally())
        home = asyncio.run(self._joined())
        profiles, before, _ = self.outcome.profiles
        self.outcome.profiles = (profiles, before, min(home, self._profiles_led_home()))
        origin = direct.Origin(self.stack.arango_url, password=self._play.password)
        self.outcome.comparisons = asyncio.run(direct.compare_all(origin, self.stack.dsn, (*_SERVICE, *_REFERENCE)))
        for one in self.outcome.comparisons:
            self.console.print(
                f"    {one.collection}: {one.documents:,} documents, {'equal' if one.equal else 'NOT EQUAL'}"
            )
        self.outcome.lost = self._lost(origin)
        self.outcome.seeded = asyncio.run(direct.mutants(origin, self.stack.dsn, DATABASE, RESUMES))

    # what the steps are made of

    async def _load_users(self, history: generated.History) -> None:
        async with direct.Target.open(self.stack.dsn) as target:
            await target.load_users(history.users)
            self._profiles = await target.profiles()

    async def _falsify(self, key: str, path: tuple[str, ...]) -> None:
        async with direct.Target.open(self.stack.dsn) as target:
            await target.falsify(DATABASE, RESUMES, key, path, "Nobody In Particular")

    async def _same_now(self, key: str) -> bool:
        origin = direct.Origin(self.stack.arango_url, password=self._play.password)
        async with direct.Target.open(self.stack.dsn) as target:
            row = (await target.documents(DATABASE, RESUMES)).get(key)
        text = origin.documents(DATABASE, RESUMES)[key]
        return row is not None and direct.compare("", {key: text}, {key: row}).equal

    async def _joined(self) -> int:
        async with direct.Target.open(self.stack.dsn) as target:
            return await target.profiles_led_home()

    def _victim(self) -> str:
        """A parsed résumé that a profile names, so that no client writes it meanwhile."""
        resumes = self.traffic.expected()[RESUMES]
        return next(key for key in self._profiles.values() if resumes[key]["status"] == "parsed")

    def _open_mismatches(self) -> list[Document]:
        return [found for found in self._verbs.json("mismatches", "list") if found["state"] == "open"]

    def _repair(self) -> None:
        """Until nothing is open: reads of lists that held the document may have been found meanwhile."""
        seen: set[int] = set()
        while opened := self._open_mismatches():
            seen |= {found["id"] for found in opened}
            self._verbs.run("mismatches", "repair", *(str(found["id"]) for found in opened))
        self.outcome.found += len(seen)
        self.outcome.repaired += len(seen)

    def _refused(self, why: str, *arguments: str) -> None:
        self._verbs.run(*arguments, expect=1, most=24)
        self.outcome.refused_flips += 1
        self._good(f"refused: {why}")

    def _flip_all(self) -> None:
        self._verbs.run("flip", *_NAMES)

    def _gates_pass(self) -> bool:
        return all(gate["verdict"] == "pass" for gate in self._gates())

    def _gates(self) -> list[Document]:
        told = self._verbs.json("gates", *_NAMES, expect=None)
        return [gate for gates in told.values() for gate in gates]

    def _profiles_led_home(self) -> int:
        service = ResumeService.connect(self.stack.url, DATABASE, password=self._play.password)
        found = ((user, service.get(RESUMES, key)) for user, key in self._profiles.items())
        return sum(resume is not None and resume["user_id"] == user for user, resume in found)

    def _lost(self, origin: direct.Origin) -> list[str]:
        """What clients were told was stored (or deleted), held against ArangoDB itself."""
        lost = []
        for name, expected in self.traffic.expected().items():
            stored = {key: json.loads(text) for key, text in origin.documents(DATABASE, name).items()}
            for key in stored.keys() | expected.keys():
                there = {k: v for k, v in stored.get(key, {}).items() if k not in ("_id", "_rev")}
                if there != expected.get(key, {}):
                    lost.append(f"{DATABASE}/{name}/{key}: not what was acknowledged")
        return lost

    def _served(self, by: str) -> float:
        return sum(v for n, labels, v in scrape(self.stack.admin_url) if labels.get("served_by") == by)

    def _count_metrics(self) -> None:
        for name, labels, value in scrape(self.stack.admin_url):
            if name == "crossfade_mirrored_total":
                self.outcome.mirrored += int(value)
            elif name == "crossfade_compared_total":
                self.outcome.compared += int(value)
            elif name == "crossfade_requests_total" and labels["status"].startswith("5"):
                self.outcome.server_errors += int(value)

    def _status(self) -> Document:
        return direct.fetch_json(self.stack.admin_url, "/status")

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

    def _until(self, condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            self._healthy()
            if time.monotonic() > deadline:
                raise DemoFailed(f"after {seconds:.0f} s it is still not true that {what}")
            time.sleep(0.2)
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


def run(play: Play, console: Console, keep: Callable[[Stack], None] | None = None) -> bool:
    """Plays the scenario and prints the table; True where all of it is true. `keep` gets the stack before it stops."""
    scenario = Scenario(play, console)
    try:
        try:
            outcome = scenario.play()
        except DemoFailed as failed:
            console.print(f"\n[bold red]failed:[/bold red] {failed}", highlight=False)
            if scenario.stack.proxy is not None:
                console.print(f"[dim]the proxy's last words:\n{scenario.stack.proxy.tail()}[/dim]", highlight=False)
            return False
        report(console, outcome)
        if keep is not None:
            keep(scenario.stack)
        return outcome.good()
    finally:
        scenario.close()
