"""The suite of python-arango-async."""

from __future__ import annotations

from pathlib import Path

from tests.acceptance.drivers.case import Result
from tests.acceptance.drivers.reports import junit
from tests.acceptance.drivers.suite import Suite, Target, command


def _run(tree: Path, target: Target, results: Path) -> list[Result]:
    report = results / "report.xml"
    tool = [
        ".venv/bin/python",
        "-m",
        "pytest",
        "-q",
        "--tb=native",
        "-p",
        "no:cacheprovider",
        f"--junitxml={report.resolve()}",
    ]
    at = ["--port", str(target.port), "--password", target.password, "--secret", target.secret]
    return junit([report], command([*tool, *at], tree, results))


SUITE = Suite(
    "python-arango-async",
    "arangodb/python-arango-async",
    "python-arango-async",
    (".venv/bin/pytest",),
    "make .venv in it, and install it there with its extra `dev`",
    _run,
)
