"""Proxies and commands forked from a process that has imported them: a start costs a fraction of the CPU time.

Each is still a process with its own environment, log and wall clock (`clocks`), and is killed as any other. The
failpoints, which a proxy reads while it is imported, are set after the fork.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import get_context
from multiprocessing.context import ForkServerContext
from pathlib import Path

from tests.faults import clocks

_STOP_TIMEOUT = 30.0  # seconds


class Forked:
    """A forked `crossfade` with the interface of `subprocess.Popen`."""

    def __init__(
        self,
        wall: Path,
        environment: Mapping[str, str],
        log: Path,
        arguments: Sequence[str] = ("proxy", "run"),
        prepare: Callable[[], None] | None = None,
    ) -> None:
        """prepare: called in the new process first."""
        self._process = _context().Process(
            target=_run, args=(wall, dict(environment), log, tuple(arguments), prepare), daemon=True
        )
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    def poll(self) -> int | None:
        """Return the exit status as subprocess reports it, or None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float = _STOP_TIMEOUT) -> int:
        """Wait for its end. Raise TimeoutError if it does not end in time."""
        self._process.join(timeout)
        ended = self._process.exitcode
        if ended is None:
            raise TimeoutError(f"the process {self.pid} has not ended in {timeout:g} s")
        return ended

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


def _context() -> ForkServerContext:
    context = get_context("forkserver")
    context.set_forkserver_preload(
        ["tests.faults.fork_template", "tests.faults.environment", "tests.faults.oracle", "tests.conftest"]
    )
    return context


def _run(
    wall: Path,
    environment: dict[str, str],
    log: Path,
    arguments: tuple[str, ...],
    prepare: Callable[[], None] | None,
) -> None:
    """Run the command in the new process."""
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.environ.clear()
    os.environ.update(environment)
    clocks.follow(clocks.Wall(wall))
    from proxy import cli
    from proxy.base import failpoints

    failpoints.reach = failpoints.armed(environment.get("CROSSFADE_FAULT", ""))
    if prepare is not None:
        prepare()
    sys.argv = ["crossfade", *arguments]
    cli.main()
