"""The suite of arangodb-java-driver: each test with JSON and with VelocyPack, over HTTP/1.1 and over HTTP/2.

It reads where its server is from a file among its compiled tests, which is rewritten for each target.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from tests.acceptance.drivers.case import Result
from tests.acceptance.drivers.reports import junit
from tests.acceptance.drivers.suite import Suite, Target, command

_TEST_TIMEOUT: Final = "60 s"  # for one test
_TESTS: Final = "test-functional/target"
_CLASSES: Final = f"{_TESTS}/test-classes"


def _run(tree: Path, target: Target, results: Path) -> list[Result]:
    lines = f"arangodb.hosts={urlsplit(target.url).netloc}\narangodb.password={target.password}\n"
    (tree / _CLASSES / "arangodb.properties").write_text(f"{lines}arangodb.acquireHostList=true\n", "utf-8")
    reports = tree / _TESTS / "failsafe-reports"
    for old in reports.glob("TEST-*.xml"):
        old.unlink()
    tool = ["mvn", "-B", "-ntp", "-pl", "test-functional", "failsafe:integration-test"]
    printed = command([*tool, f"-Djunit.jupiter.execution.timeout.default={_TEST_TIMEOUT}"], tree, results)
    return junit(sorted(reports.glob("TEST-*.xml")), printed)


SUITE = Suite(
    "java-driver",
    "arangodb/arangodb-java-driver",
    "arangodb-java-driver",
    ("mvn", f"{_CLASSES}/arangodb.properties"),
    "mvn -DskipTests -Dgpg.skip -Dmaven.javadoc.skip -pl test-functional -am install in it",
    _run,
    password="test",
)
