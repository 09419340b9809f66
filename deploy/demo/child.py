"""A process of the local stack: started under a supervisor, stopped by its process id, never outliving this process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from proxy.base.errors import ConfigurationError

_WARDEN = Path(__file__).with_name("supervisor.py")
_POLL = 0.02  # seconds between two checks of a condition


@dataclass
class Child:
    """One command that runs until stop(), kill() or the end of this process, however that happens.

    log: its output is appended there. stop_signal: asks it to end. user, group: ids to run as (needs root). remove: a
    folder that is deleted if this process ends without having called stop().
    """

    name: str
    command: Sequence[str]
    log: Path
    env: Mapping[str, str] | None = None
    cwd: Path | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    grace: float = 20.0
    user: int | None = None
    group: int | None = None
    remove: Path | None = None
    pid: int = field(default=0, init=False)
    _supervisor: subprocess.Popen[bytes] | None = field(default=None, init=False, repr=False)

    @property
    def running(self) -> bool:
        return self._supervisor is not None and self._supervisor.poll() is None

    def start(self) -> Child:
        """Start the command; `wait_for` waits until it is ready. Raise ConfigurationError."""
        if self.running:
            return self
        options = {
            "log": str(self.log),
            "stop": self.stop_signal.name,
            "grace": self.grace,
            "user": self.user,
            "group": self.group,
            "remove": str(self.remove) if self.remove else None,
            "cwd": str(self.cwd) if self.cwd else None,
        }
        supervisor = subprocess.Popen(
            [sys.executable, "-I", str(_WARDEN), json.dumps(options), *self.command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=dict(self.env) if self.env is not None else None,
            start_new_session=True,  # Ctrl-C at the terminal goes to this process, which stops its children in order
        )
        assert supervisor.stdout is not None
        line = supervisor.stdout.readline()
        supervisor.stdout.close()
        self._supervisor = supervisor
        if not line:
            self._reap()
            raise ConfigurationError(f"{self.name} could not be started: {self.command[0]}\n{self.tail()}")
        self.pid = int(line)
        return self

    def stop(self, with_signal: signal.Signals | None = None) -> None:
        """Ask the process to end, wait, and kill it after the grace period."""
        if self._supervisor is None:
            return
        self._tell((with_signal or self.stop_signal).name.removeprefix("SIG")[0])
        try:
            self._supervisor.wait(self.grace)
        except subprocess.TimeoutExpired:
            self._tell("K")
        self._reap()

    def kill(self) -> None:
        """Send SIGKILL, like an operator's mistake or the kernel: the process cannot react."""
        if self._supervisor is not None:
            self._tell("K")
            self._reap()

    def tail(self, size: int = 1500) -> str:
        """Return the end of its output."""
        return self.log.read_bytes()[-size:].decode("utf-8", "replace").strip() if self.log.exists() else "(no output)"

    def wait_for(self, ready: Callable[[], bool], seconds: float = 60.0) -> None:
        """Return when `ready` is true. Raise ConfigurationError if the process ends first, or time runs out."""
        deadline = time.monotonic() + seconds
        while not ready():
            if not self.running:
                raise ConfigurationError(f"{self.name} ended at its start: {self.tail()}")
            if time.monotonic() > deadline:
                raise ConfigurationError(f"{self.name} was not ready after {seconds:.0f} s: {self.tail()}")
            time.sleep(_POLL)

    def _tell(self, letter: str) -> None:
        assert self._supervisor is not None
        assert self._supervisor.stdin is not None
        try:
            self._supervisor.stdin.write(letter.encode())
            self._supervisor.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended already

    def _reap(self) -> None:
        if self._supervisor is not None:
            self._supervisor.wait()
            assert self._supervisor.stdin is not None
            try:
                self._supervisor.stdin.close()
            except BrokenPipeError:
                pass
            self._supervisor = None
