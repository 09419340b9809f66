"""The suite of pyArango."""

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
        "pyArango/tests/tests.py",
    ]
    more = {
        "ARANGODB_URL": target.url,
        "ARANGODB_ROOT_USERNAME": "root",
        "ARANGODB_ROOT_PASSWORD": target.password,
    }
    return junit([report], command([*tool, f"--junitxml={report.resolve()}"], tree, results, more))


SUITE = Suite(
    "pyarango",
    "ArangoDB-Community/pyArango",
    "pyArango",
    (".venv/bin/pytest",),
    "make .venv in it, and install it there with pytest and setuptools",
    _run,
)
