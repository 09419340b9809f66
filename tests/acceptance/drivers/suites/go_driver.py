"""The suites of ArangoDB's Go driver: version 2 over HTTP/1.1 and HTTP/2, and version 1 with VelocyPack both ways.

Version 2 runs most of its tests on an HTTP/1.1 and on an HTTP/2 connection without TLS (prior knowledge), in JSON.
Version 1, in the same repository, still uses VelocyPack. Each test is a separate process with a time limit, so that
one that crashes or hangs takes no other with it. What is out of scope as a whole is not run: much of it waits until its
time is up.
"""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Final

from tests.acceptance.drivers import scope
from tests.acceptance.drivers.case import Outcome, Result
from tests.acceptance.drivers.reports import ReportError, golang
from tests.acceptance.drivers.suite import SUITE_TIMEOUT, Suite, Target, command

_TEST_TIMEOUT: Final = "90s"  # for one test
# An answer that refuses an inverted index crashes these tests, and all that come after them in the same process.
_CRASHING: Final = "Test_NamedIndexes/.*/Test_named_index:_Inverted"


def _run(
    name_of_suite: str, package: str, more: dict[str, str], tree: Path, target: Target, results: Path
) -> list[Result]:
    results = results.resolve()
    binary, folder = results / "suite.test", tree / package
    printed = command(["go", "test", "-c", "-o", str(binary), "."], folder, results)
    if not binary.is_file():
        raise ReportError(printed[-2000:])
    auth = f"basic:root:{target.password}"
    more = {"TEST_ENDPOINTS": target.url, "TEST_AUTHENTICATION": auth, "TEST_MODE": "single", **more}
    listed = command([str(binary), "-test.list", "^Test"], folder, results, more)
    tool = ["go", "tool", "test2json", str(binary), "-test.v=test2json", f"-test.timeout={_TEST_TIMEOUT}"]
    end, report, found = time.monotonic() + SUITE_TIMEOUT, "", []
    ruled = scope.load(name_of_suite)
    for name in (line for line in listed.split() if line.startswith("Test")):
        if ruled.reason(name) is not None:
            found.append(Result(name, Outcome.SKIPPED))
            continue
        if time.monotonic() > end:
            found.append(Result(name, Outcome.FAILED, "not run: the time was up before it"))
            continue
        one = command([*tool, f"-test.run=^{name}$", f"-test.skip={_CRASHING}"], folder, results, more)
        report += one
        found += golang(one)
    (results / "report.json").write_text(report, "utf-8")
    if not report:
        raise ReportError(listed[-2000:])
    return found


_PREPARE: Final = "install Go; the first run downloads and compiles what the driver needs"


def _suite(name: str, package: str, more: dict[str, str]) -> Suite:
    return Suite(name, "arangodb/go-driver", "go-driver", ("go",), _PREPARE, partial(_run, name, package, more))


SUITES = (
    _suite("go-driver", "v2/tests", {}),
    _suite("go-driver-velocypack", "test", {"TEST_CONTENT_TYPE": "vpack"}),
)
