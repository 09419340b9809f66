"""`python -m tests.acceptance.drivers FOLDER`: drivers' own suites against the three targets.

After each run both databases must be equal, except for collections that are marked as unverified.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import structlog

from deploy.demo.postgres import EmbeddedPostgres
from tests.acceptance.drivers import scope, table
from tests.acceptance.drivers.reports import ReportError
from tests.acceptance.drivers.suite import SECRET, Suite, Target, find
from tests.acceptance.servers import Kind, server_under_test
from tests.conftest import fresh, migrated_template


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 if every suite that ran reached its goal, 1 if one did not, 2 if none could be run."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())  # the table is what is printed
    known = find()
    options = _parser(list(known)).parse_args(arguments)
    chosen = [known[name] for name in options.suite or known]
    ready = []
    for suite in chosen:
        missing = suite.missing(options.folder)
        if missing is None:
            ready.append(suite)
        else:
            print(f"{suite.name}: {missing}", file=sys.stderr)
    if not ready:
        return 2
    runs: list[table.Run] = []
    with tempfile.TemporaryDirectory() as temporary, contextlib.ExitStack() as stack:
        folder = options.results or Path(temporary)
        kinds = [Kind(target) for target in options.target or list(Kind)]
        server = None
        if set(kinds) != {Kind.DEVELOPMENT}:
            server = stack.enter_context(EmbeddedPostgres(options={"fsync": "off"}))
            asyncio.run(migrated_template(server.dsn))
        for suite in ready:
            for kind in kinds:
                dsn = "" if server is None else asyncio.run(fresh(server))
                runs.append(_run(suite, kind, dsn, options.folder, folder))
                print("\n".join(table.lines(runs[-1:], names=False)), file=sys.stderr)
    print(json.dumps(table.as_json(runs), indent=1) if options.json else "\n".join(table.lines(runs)))
    return 0 if all(run.reached for run in runs) else 1


def _run(suite: Suite, kind: Kind, dsn: str, checkouts: Path, folder: Path) -> table.Run:
    ruled = scope.load(suite.name)
    results = folder / f"{suite.name}-{kind}"
    (results / "state").mkdir(parents=True, exist_ok=True)
    with server_under_test(
        kind, dsn, results / "state", root_password=suite.password, secret=SECRET.encode()
    ) as started:
        try:
            found = suite.run(checkouts / suite.folder, Target(kind, started.url, suite.password), results)
        except ReportError as error:
            return table.Run(suite.name, kind, ruled.goal, [], str(error))
        return table.Run(suite.name, kind, ruled.goal, ruled.applied(found), "", started.apart(), started.marked())


def _parser(suites: list[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.acceptance.drivers",
        description="Runs the public test suites of ArangoDB's drivers against the development server, the proxy in "
        "the shadow and the proxy flipped. What is out of scope is named, with reasons, in tests/acceptance/drivers/"
        "scope.",
    )
    parser.add_argument("folder", type=Path, help="the folder with the drivers' checkouts, each prepared to be tested")
    parser.add_argument("--suite", action="append", choices=suites, help="that one alone; may be given again")
    parser.add_argument("--target", action="append", choices=list(Kind), help="that one alone; may be given again")
    parser.add_argument("--results", type=Path, help="a folder for what the suites print and report; else thrown away")
    parser.add_argument("--json", action="store_true", help="every case with its outcome, as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
