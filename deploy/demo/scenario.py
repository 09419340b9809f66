"""The demo's steps on real records: from the first request through the proxy to reads from PostgreSQL, and back.

Each step prints what it does, does it with the commands, and asserts; the first thing that is not as it must be ends
the run. What the whole run must show is in `RunFigures`.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.console import Console

from deploy.demo import db_checks
from deploy.demo.cli_runner import DemoFailed
from deploy.demo.demo_options import NAMES, REFERENCE, SERVICE, DemoOptions
from deploy.demo.fake_data import DATABASE, RESUMES
from deploy.demo.harness import Harness
from deploy.demo.result_table import RunFigures, report
from deploy.demo.stack import Stack

_RESUMES = f"{DATABASE}/{RESUMES}"
_NAME = ("resume_data", "contact_info", "full_name")  # the value that is falsified


class Scenario:
    """One run over a harness. `play` returns the outcome; the stack stays up until the harness is closed."""

    def __init__(self, options: DemoOptions, harness: Harness) -> None:
        self._options = options
        self._harness = harness
        self._stack = harness.stack
        self._outcome = harness.outcome
        self._reporter = harness.reporter
        self._waiter = harness.waiter
        self._databases = harness.databases
        self._measurements = harness.measurements
        self._operator = harness.operator
        self._cli = harness.operator.cli

    def play(self) -> RunFigures:
        """Carry out all steps. Raise DemoFailed, ConfigurationError, or what a client failed with."""
        steps: list[tuple[str, Callable[[], None]]] = [
            ("History: ArangoDB and PostgreSQL before there is a proxy", self._harness.start_history),
            ("Live traffic, straight to ArangoDB", self._direct),
            ("The proxy goes in front; nothing else changes", self._in_front),
            ("Mirror: every write into both databases; backfill, verify", self._mirror),
            ("Shadow: reads are compared; a value in PostgreSQL is tampered with", self._tamper),
            ("Shadow: enough comparisons", self._compare),
            ("Flip: 10 %, all, back, all again", self._flip),
            ("kill -9 of the proxy, in mid-traffic; and on", self._kill),
            ("Both databases, read directly", self._settle),
        ]
        began = time.monotonic()
        for number, (title, step) in enumerate(steps, 1):
            self._reporter.step(number, title, time.monotonic() - began)
            step()
            self._harness.healthy()
        self._outcome.seconds = time.monotonic() - began
        return self._outcome

    def _direct(self) -> None:
        self._harness.traffic.start()
        self._waiter.run_for(self._options.steady)
        self._measurements.latency(self._harness.traffic, "direct")

    def _in_front(self) -> None:
        self._stack.migrate()
        self._set_gate_limits()
        self._stack.start_proxy()
        self._reporter.good(
            f"the proxy answers on {self._stack.url}, and is given to the clients in place of {self._stack.arango_url}"
        )
        self._harness.traffic.to(self._stack.url, "off")
        profiles = self._harness.profiles
        home = self._databases.profiles_joined_to_users(profiles)
        self._outcome.profiles = (len(profiles), home, 0)
        self._reporter.check(
            condition=home == len(profiles), what=f"{home} profiles lead to their résumé, through the proxy"
        )
        self._operator.refused("it is much too early for a flip", "flip", _RESUMES)

    def _set_gate_limits(self) -> None:
        for name, value in self._options.gate_limits().items():
            self._cli.run("gates", "limits", "set", name, str(value), "--reason", "a demo is short", show=False)

    def _mirror(self) -> None:
        self._harness.traffic.phase("mirror")
        self._cli.run("mirror", *NAMES)
        self._stack.start_watch()
        self._reporter.good(
            "`crossfade out-of-band watch` runs from here on: it reports writes around the proxy and blocks the flip"
        )
        self._cli.watch("backfill", *NAMES)
        self._cli.watch("verify", "--full", *NAMES)

    def _tamper(self) -> None:
        self._cli.run("shadow", *NAMES)
        traffic = self._harness.traffic
        traffic.phase("shadow")
        key = self._victim()
        path = ".".join(_NAME)
        self._databases.falsify(key, _NAME)
        self._reporter.good(f"one value deep in résumé {key} was changed in PostgreSQL, by hand, at the same revision")
        answered = self._databases.service().get(RESUMES, key)
        expected = traffic.expected()[RESUMES][key]
        self._reporter.check(
            condition=answered is not None and answered["resume_data"] == expected["resume_data"],
            what="a client that reads it gets ArangoDB's answer",
        )
        self._waiter.until(self._databases.no_mismatch, "the shadow has caught it")
        self._cli.run("mismatches", "list")
        self._operator.explain(path)
        self._operator.refused("a collection with a mismatch does not flip", "flip", _RESUMES)
        self._operator.repair(path)
        self._reporter.check(
            condition=self._databases.equal_now(key), what="PostgreSQL has the document as ArangoDB has it"
        )

    def _victim(self) -> str:
        """Return a parsed résumé that a profile names, so that no client writes it."""
        resumes = self._harness.traffic.expected()[RESUMES]
        return next(key for key in self._harness.profiles.values() if resumes[key]["status"] == "parsed")

    def _compare(self) -> None:
        self._cli.run("indexes", "--create", *NAMES, most=30)
        self._reporter.good("PostgreSQL has the indexes that the shapes of the clients' reads need")
        traffic = self._harness.traffic
        self._operator.enough(traffic, self._harness.loaded)
        traffic.phase("shadow")
        self._waiter.run_for(self._options.steady)
        self._measurements.latency(traffic, "shadow")
        self._cli.run("gates", _RESUMES, most=30)

    def _flip(self) -> None:
        traffic = self._harness.traffic
        traffic.phase("flipped 10 %")
        self._cli.run("flip", "--percent", "10", *NAMES)
        self._measurements.share_for(2)
        traffic.phase("flipping")
        self._cli.run("flip", *NAMES)
        traffic.phase("flipped")
        self._measurements.share_until(lambda share: share > 0.9, "PostgreSQL serves the reads", self._options.steady)
        self._measurements.latency(traffic, "flipped")
        traffic.phase("rolled back")
        self._cli.run("rollback", *NAMES)
        self._measurements.share_until(lambda share: share == 0, "ArangoDB serves the reads again")
        self._flip_again()

    def _kill(self) -> None:
        traffic = self._harness.traffic
        traffic.phase("killed")
        self._measurements.add_counters()
        traffic.expect_cuts()
        self._stack.kill_proxy()
        self._reporter.good("the proxy is dead, in the middle of requests")
        self._stack.start_proxy()
        traffic.end_cuts()
        self._reporter.good("it is there again, reads its journal, and looks up in ArangoDB what it cannot know")
        self._waiter.run_for(2)
        self._cli.run("status", most=30)
        self._waiter.until(self._operator.not_rejoined, "all of that is repaired")
        self._cli.watch("verify", *NAMES)
        if self._operator.flipped():
            self._reporter.good("its journal proves that nothing is missing: the flip is kept")
            self._measurements.share_until(lambda share: share > 0.5, "PostgreSQL serves the reads again")
        else:
            self._reporter.good("it took reads back to ArangoDB by itself, to be safe")
            self._flip_again()

    def _flip_again(self) -> None:
        self._operator.enough(self._harness.traffic, self._harness.loaded)
        self._harness.traffic.phase("flipped again")
        self._cli.run("flip", *NAMES)
        self._measurements.share_until(lambda share: share > 0.5, "PostgreSQL serves the reads again")

    def _settle(self) -> None:
        traffic, outcome = self._harness.traffic, self._outcome
        traffic.stop()
        self._waiter.until(self._measurements.backlog, "the backlog is empty")
        self._measurements.add_counters()
        outcome.tally.add(traffic.tally())
        joined = self._databases.ask(db_checks.Target.profiles_joined_to_users)
        profiles, before, _ = outcome.profiles
        outcome.profiles = (
            profiles,
            before,
            min(joined, self._databases.profiles_joined_to_users(self._harness.profiles)),
        )
        outcome.comparisons = self._databases.compare_all((*SERVICE, *REFERENCE))
        for one in outcome.comparisons:
            verdict = "equal" if one.equal else "NOT EQUAL"
            self._reporter.console.print(
                f"    {one.collection}: {one.documents:,} documents, {verdict}", highlight=False
            )
        outcome.lost = self._databases.lost(traffic.expected())
        outcome.seeded = self._databases.seeded_faults()


def run(options: DemoOptions, console: Console, keep: Callable[[Stack], None] | None = None) -> bool:
    """Play the scenario and print the table; return True if all of it is true. `keep` gets the stack while it runs."""
    harness = Harness(options, console)
    try:
        try:
            outcome = Scenario(options, harness).play()
        except DemoFailed as failed:
            console.print(f"\n[bold red]failed:[/bold red] {failed}", highlight=False)
            if harness.stack.proxy is not None:
                console.print(f"[dim]the proxy's last words:\n{harness.stack.proxy.tail()}[/dim]", highlight=False)
            return False
        report(console, outcome)
        if keep is not None:
            keep(harness.stack)
        return outcome.good()
    finally:
        harness.close()
