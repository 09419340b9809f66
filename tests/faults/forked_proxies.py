"""Proxies forked from a process that has imported them: a start takes a fraction of the processor's time.

A proxy is a process of its own all the same, with its environment, its log and its wall clock (`clocks`), and is killed
as any other. What it would have read while it was imported, the fault points, is set behind the fork.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from multiprocessing import get_context
from multiprocessing.context import ForkServerContext
from pathlib import Path

from tests.faults import clocks

_ENDS = 30.0  # seconds


class Forked:
    """One of them, as `subprocess.Popen` shows a process."""

    def __init__(self, wall: Path, environment: Mapping[str, str], log: Path) -> None:
        self._process = _context().Process(target=_run, args=(wall, dict(environment), log), daemon=True)
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    def poll(self) -> int | None:
        """How it ended, as subprocess says it; None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float = _ENDS) -> int:
        """Raises TimeoutError where it does not end in time."""
        self._process.join(timeout)
        ended = self._process.exitcode
        if ended is None:
            raise TimeoutError(f"the process {self.pid} has not ended in {timeout:g} s")
        return ended

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


def _context() -> ForkServerContext:
    made = get_context("forkserver")
    made.set_forkserver_preload(
        ["tests.faults.fork_template", "tests.faults.environment", "tests.faults.oracle", "tests.conftest"]
    )
    return made


def _run(wall: Path, environment: dict[str, str], log: Path) -> None:
    """In the new process."""
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.environ.clear()
    os.environ.update(environment)
    clocks.follow(clocks.Wall(wall))
    from proxy import cli
    from proxy.base import failpoints

    failpoints.reach = failpoints.armed(environment.get("CROSSFADE_FAULT", ""))
    sys.argv = ["crossfade", "proxy", "run"]
    cli.main()
