"""The steps of the operator in the demo: commands, and what their output must show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from deploy.demo import db_checks
from deploy.demo.cli_runner import CliRunner
from deploy.demo.databases import Databases
from deploy.demo.demo_options import NAMES, REFERENCE, DemoOptions
from deploy.demo.loader import Document
from deploy.demo.measurements import Measurements
from deploy.demo.read_load import read_all
from deploy.demo.reporter import Reporter
from deploy.demo.result_table import RunFigures
from deploy.demo.stack import Stack
from deploy.demo.traffic import DemoTraffic
from deploy.demo.waiter import Waiter


class Operator:
    """Uses the commands against one stack."""

    def __init__(
        self,
        options: DemoOptions,
        stack: Stack,
        outcome: RunFigures,
        *,
        reporter: Reporter,
        waiter: Waiter,
        databases: Databases,
        measurements: Measurements,
    ) -> None:
        self.cli = CliRunner(stack, reporter.console)
        self._options = options
        self._stack = stack
        self._outcome = outcome
        self._reporter = reporter
        self._waiter = waiter
        self._databases = databases
        self._measurements = measurements
        self._explained: set[int] = set()

    def refused(self, why: str, *arguments: str) -> None:
        """Run a command that must be refused."""
        self.cli.run(*arguments, expect=1, most=24)
        self._outcome.refused_flips += 1
        self._reporter.good(f"refused: {why}")

    def explain(self, path: str) -> None:
        """Show each open mismatch that was not shown yet; its explanation must name the path."""
        for found in self.cli.json("mismatches", "list"):
            if found["id"] not in self._explained:
                self._explain(found["id"], path)

    def repair(self, path: str) -> None:
        """Repair until no mismatch is open: reads of lists that held the document may be found later."""
        seen: set[int] = set()
        while opened := {found["id"] for found in self.cli.json("mismatches", "list")}:
            for number in sorted(opened - self._explained):
                self._explain(number, path)
            seen |= opened
            self.cli.run("mismatches", "repair", *map(str, sorted(opened)))
        self._outcome.found += len(seen)
        self._outcome.repaired += len(seen)

    def _explain(self, number: int, path: str) -> None:
        """Show one mismatch, with the explanation that is kept with it."""
        self._explained.add(number)
        shown = self.cli.json("mismatches", "show", str(number))
        (sample, *_) = shown["samples"]
        console = self._reporter.console
        console.print(f"[bold cyan]$ crossfade mismatches show {number}[/bold cyan]")
        for name in ("origin_rev", "target_rev", "explanation"):
            if sample[name] is not None:
                console.print(f"    {name}: {sample[name]}", highlight=False, markup=False)
        named = any(one.endswith(path) for one in shown["paths"]) and bool(sample["explanation"])
        self._reporter.check(condition=named, what=f"explained: {shown['kind']} at {', '.join(shown['paths'])}")
        self._outcome.explained += 1

    def enough(self, traffic: DemoTraffic, loaded: Mapping[tuple[str, str], Sequence[Document]]) -> None:
        """Bring about the comparisons that the gates need, until every gate passes. loaded: documents by place."""
        traffic.phase("shadow, in a hurry", hurry=True)
        wanted = self._options.comparisons
        self._waiter.until(
            lambda: self._lacking_comparisons(loaded), f"at least {wanted:,} reads of each collection were compared"
        )
        traffic.phase("shadow")
        if self._lacking_gates():
            self._replay()
            self._waiter.until(self._lacking_gates, "every gate passes")
        else:
            self._reporter.good("every gate passes")

    def _lacking_comparisons(self, loaded: Mapping[tuple[str, str], Sequence[Document]]) -> list[str]:
        """Return the collections that lack comparisons. Reads the reference data among them, which no client reads."""
        found = self._databases.ask(db_checks.Target.compared)
        counts = {name: found.get(name, 0) for name in NAMES}
        lacking = [f"{name}: {count:,}" for name, count in counts.items() if count < self._options.comparisons]
        if lacking:
            reads = self._options.comparisons
            documents = {place: loaded[place] for place in REFERENCE if counts["/".join(place)] < reads}
            self._outcome.tally.add(read_all(self._stack.url, documents, reads=reads, password=self._options.password))
        return lacking

    def _replay(self) -> None:
        """Send the reads that clients rarely send once more, as an operator does before a flip."""
        arguments = ("shadow", "replay", *NAMES, "--proxy", self._stack.url, "--rate", "200", "--seconds", "60")
        if self.cli.run(*arguments, expect=None, most=30).code == 0:
            self._reporter.good("reads that clients rarely send were compared as often as the gates ask")

    def _lacking_gates(self) -> list[str]:
        """Return a line for each gate that does not pass."""
        report = self.cli.json("gates", *NAMES, expect=None)
        return [
            f"{name}: {gate['name']} is {gate['verdict']}: {gate['figures']}"
            for name, gates in report.items()
            for gate in gates
            if gate["verdict"] != "pass"
        ]

    def not_rejoined(self) -> list[str]:
        """Return a line until the proxy has drained after a crash, and has kept the flips or rolled them back."""
        status = self._measurements.status()
        stages = {status["collections"].get(name, {}).get("stage") for name in NAMES}
        if not status["diverged"] and not status["backlog"] and stages <= {"shadow", "flipped"} and len(stages) == 1:
            return []
        shown = sorted(map(str, stages))
        return [f"backlog {status['backlog']}, diverged: {status['diverged']}, stages: {shown}"]

    def flipped(self) -> bool:
        """Return True if every collection is flipped."""
        collections = self._measurements.status()["collections"]
        return all(collections[name]["stage"] == "flipped" for name in NAMES)
