"""The measurements of the proxy and the clients, as the demo reads them: metrics, status, latencies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from deploy.demo import db_checks
from deploy.demo.cli_runner import DemoFailed
from deploy.demo.loader import Document
from deploy.demo.reporter import Reporter
from deploy.demo.result_table import RunFigures, scrape
from deploy.demo.stack import Stack
from deploy.demo.traffic import DemoTraffic
from deploy.demo.waiter import Waiter

_WINDOWS = 20


class Measurements:
    """Figures of one run."""

    def __init__(self, stack: Stack, outcome: RunFigures, reporter: Reporter, waiter: Waiter) -> None:
        self._stack = stack
        self._outcome = outcome
        self._reporter = reporter
        self._waiter = waiter

    def status(self) -> Document:
        """Return `/status` of the proxy."""
        return db_checks.fetch_json(self._stack.admin_url, "/status")

    def backlog(self) -> list[str]:
        """Return a line about the backlog, unless it is empty."""
        backlog = self.status()["backlog"]
        return [f"backlog {backlog}"] if backlog else []

    def share_until(self, enough: Callable[[float], bool], what: str, seconds: float = 2.0) -> None:
        """Let clients work, `seconds` at a time, until the share of reads that PostgreSQL served is as it must be.

        More than once only if the machine is so busy that a lease ran out: ArangoDB answers then, as it should.
        """
        share = 0.0
        for _ in range(_WINDOWS):
            share = self.share_for(seconds)
            if enough(share):
                self._reporter.good(what)
                return
        raise DemoFailed(f"not true: {what}: {share:.0%} in the last {seconds:.0f} s")

    def share_for(self, seconds: float) -> float:
        """Let the clients work; return the share of comparable reads that PostgreSQL served in that time."""
        before = self._served()
        self._waiter.run_for(seconds)
        after = self._served()
        target, origin = (after.get(by, 0) - before.get(by, 0) for by in ("target", "origin"))
        share = target / max(target + origin, 1)
        self._reporter.good(f"{target:,.0f} of {target + origin:,.0f} reads came from PostgreSQL: {share:.0%}")
        return share

    def latency(self, traffic: DemoTraffic, phase: str) -> None:
        """Keep and print the latency that clients measured in a phase."""
        tally = traffic.tally()
        p50, p99 = tally.percentile(50, phase), tally.percentile(99, phase)
        self._outcome.latency[phase] = (p50, p99)
        requests = len(tally.seconds.get(phase, ()))
        self._reporter.good(f"{requests:,} requests, p50 {p50:.1f} ms, p99 {p99:.1f} ms, none failed")

    def add_counters(self) -> None:
        """Add the proxy's counters to the outcome: before a proxy ends, since they end with it."""
        for name, labels, value in scrape(self._stack.admin_url):
            if name == "crossfade_mirror_changes_applied_total":
                self._outcome.mirrored += int(value)
            elif name == "crossfade_shadow_comparisons_total":
                self._outcome.compared += int(value)
            elif name == "crossfade_requests_total" and labels["status"].startswith("5"):
                self._outcome.server_errors += int(value)

    def _served(self) -> Counter[str]:
        """Return reads by the database that served them, since the proxy's start."""
        served: Counter[str] = Counter()
        for name, labels, value in scrape(self._stack.admin_url):
            if name == "crossfade_requests_total" and labels["endpoint"] in ("document.read", "cursor.create"):
                served[labels["served_by"]] += int(value)
        return served
