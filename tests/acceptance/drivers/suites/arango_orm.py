"""The suite of arango-orm, which needs a dedicated database and user."""

from __future__ import annotations

from pathlib import Path

import httpx

from tests.acceptance.drivers.case import Result
from tests.acceptance.drivers.reports import junit
from tests.acceptance.drivers.suite import Suite, Target, command


def _run(tree: Path, target: Target, results: Path) -> list[Result]:
    body = {"name": "test", "users": [{"username": "test", "passwd": "test"}]}
    httpx.post(f"{target.url}/_api/database", json=body, auth=("root", target.password)).raise_for_status()
    report = results / "report.xml"
    tool = [".venv/bin/python", "-m", "pytest", "-q", "--tb=native", "-p", "no:cacheprovider", "--no-cov"]
    more = {"ARANGO_HOSTS": target.url}
    more |= {"ARANGO_USERNAME": "test", "ARANGO_PASSWORD": "test", "ARANGO_DATABASE": "test"}
    return junit([report], command([*tool, f"--junitxml={report.resolve()}"], tree, results, more))


SUITE = Suite(
    "arango-orm",
    "kashifpk/arango-orm",
    "arango-orm",
    (".venv/bin/pytest",),
    "make .venv in it, and install it there with pytest, pytest-cov and six",
    _run,
)
