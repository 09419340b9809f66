"""The suite of arangojs, whose tests need a server that accepts root with an empty password."""

from __future__ import annotations

from pathlib import Path

from tests.acceptance.drivers.case import Result
from tests.acceptance.drivers.reports import mocha
from tests.acceptance.drivers.suite import Suite, Target, command


def _run(tree: Path, target: Target, results: Path) -> list[Result]:
    tool = ["node_modules/.bin/mocha", "--exit", "--timeout", "20000", "--reporter", "json"]
    more = {"TEST_ARANGODB_URL": target.url, "ARANGO_VERSION": "31200"}
    everything, report = results.resolve() / "everything.json", results.resolve() / "report.json"
    command([*tool, "--dry-run", "--reporter-option", f"output={everything}", "build/esm/test"], tree, results, more)
    printed = command([*tool, "--reporter-option", f"output={report}", "build/esm/test"], tree, results, more)
    return mocha(report, everything, printed)


SUITE = Suite(
    "arangojs",
    "arangodb/arangojs",
    "arangojs",
    ("node", "node_modules/.bin/mocha", "build/esm/test"),
    "npm install and npx tsc -p tsconfig.esm.json in it",
    _run,
    password="",
)
