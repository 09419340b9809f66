"""Waiting: for a time or for a condition, while servers and clients are watched for failures."""

from __future__ import annotations

import time
from collections.abc import Callable

from deploy.demo.cli_runner import DemoFailed
from deploy.demo.reporter import Reporter

_NO_PROGRESS_LIMIT = 120.0  # seconds without any progress after which the demo gives up
_ENDLESS = 900.0  # seconds after which it gives up even if there is progress


class Waiter:
    """Waits. healthy: called all the time; raises DemoFailed if a server or a client has failed."""

    def __init__(self, reporter: Reporter, healthy: Callable[[], None]) -> None:
        self._reporter = reporter
        self._healthy = healthy

    def run_for(self, seconds: float) -> None:
        """Let the clients work for a time."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._healthy()
            time.sleep(0.1)

    def until(self, lacking: Callable[[], list[str]], what: str) -> None:
        """Wait until nothing is lacking, as long as there is progress: the list must change within two minutes.

        On a slow or busy machine everything takes longer, and nothing else is different.
        """
        began = moved = time.monotonic()
        before: list[str] = []
        while lacks := lacking():
            self._healthy()
            now = time.monotonic()
            if lacks != before:
                before, moved = lacks, now
            if now - moved > _NO_PROGRESS_LIMIT or now - began > _ENDLESS:
                raise DemoFailed("\n".join([f"after {now - began:.0f} s it is still not true: {what}", *lacks]))
            time.sleep(0.2)
        self._reporter.good(what)
