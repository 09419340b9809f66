"""Commands as an operator uses them: each a process, shown, and its exit code checked."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.text import Text

from deploy.demo.stack import Stack, crossfade


class DemoFailed(Exception):
    """Something that must be true is not; the message says what."""


@dataclass(frozen=True, slots=True)
class Done:
    """A command that has ended. output: what it printed, standard error included."""

    code: int
    output: str


class CliRunner:
    """Runs `crossfade` commands against one stack."""

    def __init__(self, stack: Stack, console: Console) -> None:
        self._stack = stack
        self._console = console

    def run(self, *arguments: str, expect: int | None = 0, show: bool = True, most: int = 14) -> Done:
        """Run a command, print it with the first lines of its output. Raise DemoFailed on another exit code.

        expect: None accepts any exit code. most: lines to show.
        """
        if show:
            self._announce(arguments)
        done = subprocess.run(
            crossfade(*arguments),
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        ended = Done(done.returncode, done.stdout)
        if show:
            self._print(ended, most)
        if expect is not None:
            self._judge(arguments, ended, expect)
        return ended

    def watch(self, *arguments: str, expect: int = 0) -> Done:
        """Run a command on the terminal itself, so that its progress bars move; nothing is captured."""
        self._announce(arguments)
        done = subprocess.run(crossfade(*arguments), env=self._environment(), stdin=subprocess.DEVNULL, check=False)
        ended = Done(done.returncode, "")
        self._judge(arguments, ended, expect)
        return ended

    def json(self, *arguments: str, expect: int | None = 0) -> Any:
        """Run a command with `--json`, silently, and return its output. expect: None accepts any exit code."""
        done = subprocess.run(
            crossfade(*arguments, "--json"),
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if expect is not None:
            self._judge(arguments, Done(done.returncode, done.stderr or done.stdout), expect)
        try:
            return json.loads(done.stdout)
        except json.JSONDecodeError as error:
            said = (done.stdout + done.stderr).strip()
            raise DemoFailed(f"`crossfade {shlex.join(arguments)} --json` printed no JSON: {said[-800:]}") from error

    def _environment(self) -> dict[str, str]:
        return os.environ | self._stack.environment() | {"COLUMNS": str(max(self._console.width - 4, 60))}

    def _announce(self, arguments: tuple[str, ...]) -> None:
        self._console.print(Text(f"$ crossfade {shlex.join(arguments)}", style="bold cyan"))

    def _print(self, done: Done, most: int) -> None:
        lines = done.output.rstrip().splitlines()
        for line in lines[:most]:
            self._console.print(Text.from_ansi("    " + line))
        if len(lines) > most:
            self._console.print(f"    [dim]… {len(lines) - most} more lines[/dim]")

    def _judge(self, arguments: tuple[str, ...], done: Done, expect: int) -> None:
        if done.code != expect:
            raise DemoFailed(
                f"`crossfade {shlex.join(arguments)}` ended with {done.code}, should be {expect}: "
                f"{done.output.strip()[-2000:]}"
            )
