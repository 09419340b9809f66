"""The main job on real records: from the first request through the proxy to reads from PostgreSQL, and back, and again.

Each step says what it does, does it by the command line, and asserts; the first thing that is not as it must be ends
the run. What the whole run has to show is in `outcome`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from rich.console import Console

from deploy.demo import db_checks, fake_data
from deploy.demo.cli_runner import DemoFailed
from deploy.demo.fake_data import DATABASE, RESUMES
from deploy.demo.harness import NAMES, REFERENCE, SERVICE, Harness, Play
from deploy.demo.loader import load_all
from deploy.demo.result_table import Outcome, report
from deploy.demo.service import ResumeService
from deploy.demo.stack import Stack
from deploy.demo.traffic import Traffic


class Scenario(Harness):
    """One run. `play` returns the outcome; the stack stays up until `close`."""

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
            ("kill -9 of the proxy, in mid-traffic; and on", self._kill),
            ("Both databases, read directly", self._settle),
        ]
        began = time.monotonic()
        for number, (title, step) in enumerate(steps, 1):
            self.console.print()
            self.console.rule(
                f"[bold]{number}. {title}[/bold] [dim]{time.monotonic() - began:.0f} s[/dim]", align="left"
            )
            step()
            self._healthy()
        self.outcome.seconds = time.monotonic() - began
        return self.outcome

    def _history(self) -> None:
        self.stack.start_postgres()
        self.stack.start_arangodb()
        share = self._play.share
        sizes = {"users": 200, "resumes": 2000, "jobs": 1800, "results": 1200}
        history = fake_data.history(**{name: int(size * share) for name, size in sizes.items()})
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
        for database, name in SERVICE:
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
        self._set_gate_limits()
        self.stack.start_proxy()
        self._good(
            f"the proxy answers on {self.stack.url}, and is given to the clients in place of {self.stack.arango_url}"
        )
        self.traffic.to(self.stack.url, "off")
        home = self._profiles_led_home()
        self.outcome.profiles = (len(self._profiles), home, 0)
        self._check(home == len(self._profiles), f"{home} profiles lead to their résumé, through the proxy")
        self._refused("it is much too early for a flip", "flip", f"{DATABASE}/{RESUMES}")

    def _set_gate_limits(self) -> None:
        """Ask for fewer comparisons than production, and allow for a machine that servers and clients share."""
        for name, value in (
            ("comparisons", self._play.comparisons),
            ("shape_comparisons", max(1, self._play.comparisons // 25)),
            ("min_p99_seconds", 2),
        ):
            self._verbs.run("gates", "limits", "set", name, str(value), "--reason", "a demo is short", show=False)

    def _mirror(self) -> None:
        self.traffic.phase("mirror")
        self._verbs.run("mirror", *NAMES)
        self.stack.start_watch()
        self._good(
            "`crossfade out-of-band watch` runs from here on: it reports writes around the proxy and blocks the flip"
        )
        self._verbs.watch("backfill", *NAMES)
        self._verbs.watch("verify", "--full", *NAMES)

    def _tamper(self) -> None:
        self._verbs.run("shadow", *NAMES)
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
        self._until(lambda: asyncio.run(self._ask(db_checks.Target.open_mismatches)) > 0, "the shadow has caught it")
        self._verbs.run("mismatches", "list")
        for found in self._verbs.json("mismatches", "list"):
            self._explain(found["id"], ".".join(path))
        self._refused("a collection with a mismatch does not flip", "flip", f"{DATABASE}/{RESUMES}")
        self._repair(".".join(path))
        self._check(asyncio.run(self._same_now(key)), "PostgreSQL has the document as ArangoDB has it")

    def _compare(self) -> None:
        self._verbs.run("indexes", "--create", *NAMES, most=30)
        self._good("PostgreSQL has the indexes that the shapes of the clients' reads need")
        self._enough()
        self.traffic.phase("shadow")
        self._run_for(self._play.steady)
        self._measure("shadow")
        self._verbs.run("gates", f"{DATABASE}/{RESUMES}", most=30)

    def _flip(self) -> None:
        self.traffic.phase("flipped 10 %")
        self._verbs.run("flip", "--percent", "10", *NAMES)
        self._share_for(2)
        self.traffic.phase("flipping")
        self._verbs.run("flip", *NAMES)
        self.traffic.phase("flipped")
        self._share_until(lambda share: share > 0.9, "PostgreSQL serves the reads", self._play.steady)
        self._measure("flipped")
        self.traffic.phase("rolled back")
        self._verbs.run("rollback", *NAMES)
        self._share_until(lambda share: share == 0, "ArangoDB serves the reads again")
        self._flip_again()

    def _kill(self) -> None:
        self.traffic.phase("killed")
        self._count_metrics()
        self.traffic.cutting()
        self.stack.kill_proxy()
        self._good("the proxy is dead, in the middle of requests")
        self.stack.start_proxy()
        self.traffic.mended()
        self._good("it is there again, reads its journal, and looks up in ArangoDB what it cannot know")
        self._run_for(2)
        self._verbs.run("status", most=30)
        self._until(self._rejoined, "all of that is repaired")
        self._verbs.watch("verify", *NAMES)
        if self._flipped():
            self._good("its journal proves that nothing is missing: the flip stands")
            self._share_until(lambda share: share > 0.5, "PostgreSQL serves the reads again")
        else:
            self._good("it took reads back to ArangoDB by itself, to be safe")
            self._flip_again()

    def _flip_again(self) -> None:
        self._enough()
        self.traffic.phase("flipped again")
        self._verbs.run("flip", *NAMES)
        self._share_until(lambda share: share > 0.5, "PostgreSQL serves the reads again")

    def _settle(self) -> None:
        self.traffic.stop()
        self._until(lambda: self._status()["backlog"] == 0, "the backlog is empty")
        self._count_metrics()
        self.outcome.tally.add(self.traffic.tally())
        home = asyncio.run(self._ask(db_checks.Target.profiles_led_home))
        profiles, before, _ = self.outcome.profiles
        self.outcome.profiles = (profiles, before, min(home, self._profiles_led_home()))
        origin = db_checks.Origin(self.stack.arango_url, password=self._play.password)
        self.outcome.comparisons = asyncio.run(db_checks.compare_all(origin, self.stack.dsn, (*SERVICE, *REFERENCE)))
        for one in self.outcome.comparisons:
            verdict = "equal" if one.equal else "NOT EQUAL"
            self.console.print(f"    {one.collection}: {one.documents:,} documents, {verdict}", highlight=False)
        self.outcome.lost = self._lost(origin)
        self.outcome.seeded = asyncio.run(db_checks.mutants(origin, self.stack.dsn, DATABASE, RESUMES))


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
