"""The definition of a suite: where it comes from, what its checkout needs, and its own test command."""

from __future__ import annotations

import contextlib
import importlib
import os
import pkgutil
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from tests.acceptance.drivers import suites
from tests.acceptance.drivers.case import Result
from tests.acceptance.drivers.reports import ReportError
from tests.acceptance.servers import Kind

PASSWORD: Final = "passwd"  # of root, unless a suite expects another
SECRET: Final = "secret"  # that the targets sign tokens with
SUITE_TIMEOUT: Final = 3600.0  # seconds for one suite on one target


@dataclass(frozen=True, slots=True)
class Target:
    """A server that a suite is run against."""

    kind: Kind
    url: str
    password: str
    secret: str = SECRET

    @property
    def port(self) -> int:
        port = urlsplit(self.url).port
        assert port is not None
        return port


@dataclass(frozen=True, slots=True)
class Suite:
    """One driver's suite.

    folder: of its checkout, within the folder of all checkouts. needs: what must be there before it can be run, by
    path within the checkout (or the name of a program), and `prepare` says how it comes there. run: starts the suite's
    own test command (with `command`) in the checkout and reads the report that it leaves in the results' folder.
    password: of root, as the suite expects it.
    """

    name: str
    repository: str
    folder: str
    needs: Sequence[str]
    prepare: str
    run: Callable[[Path, Target, Path], list[Result]]
    password: str = PASSWORD

    def missing(self, checkouts: Path) -> str | None:
        """Return what prevents it from running, as a sentence, or None."""
        tree = checkouts / self.folder
        if not tree.is_dir():
            return f"{tree} is not there: git clone https://github.com/{self.repository} {tree}, then {self.prepare}"
        for need in self.needs:
            found = (tree / need).exists() if "/" in need else _program(need)
            if not found:
                return f"{need} is not there for {tree}: {self.prepare}"
        return None


def find() -> dict[str, Suite]:
    """Return every suite by name: each module in `suites` has one `SUITE`, or several in `SUITES`."""
    found: dict[str, Suite] = {}
    for module in pkgutil.iter_modules(suites.__path__):
        loaded = importlib.import_module(f"{suites.__name__}.{module.name}")
        for suite in getattr(loaded, "SUITES", None) or (loaded.SUITE,):
            found[suite.name] = suite
    return found


def command(arguments: Sequence[str], tree: Path, results: Path, more: Mapping[str, str] | None = None) -> str:
    """Run a suite's own test command in its checkout; keep its output in `results`, and return that.

    A suite that fails has failing tests: its exit status adds nothing to its report. Raise ReportError if it has not
    ended in time, since a report may then lack tests.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | dict(more or {})
    output = results / "output.txt"
    with output.open("wb") as file:
        process = subprocess.Popen(
            arguments, cwd=tree, env=environment, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            process.wait(SUITE_TIMEOUT)
        except subprocess.TimeoutExpired as error:
            raise ReportError(f"it has not ended within {SUITE_TIMEOUT:.0f} s") from error
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # and what it has started
            process.wait()
    return output.read_text("utf-8", "replace")


def _program(name: str) -> bool:
    return any(os.access(Path(folder) / name, os.X_OK) for folder in os.environ.get("PATH", "").split(os.pathsep))
