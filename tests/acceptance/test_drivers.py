"""The runner of drivers' suites reads their reports, applies their scope, and names what is missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.acceptance.drivers import scope, suite, table
from tests.acceptance.drivers.__main__ import main
from tests.acceptance.drivers.case import Outcome, Result
from tests.acceptance.drivers.reports import ReportError, golang, junit, mocha
from tests.acceptance.drivers.suite import find
from tests.acceptance.servers import Kind

_JUNIT = """<testsuites><testsuite>
<testcase classname="tests.test_document" name="test_insert"/>
<testcase classname="tests.test_foxx" name="test_install"><failure message="501">trace</failure></testcase>
<testcase classname="tests.test_aql" name="test_query"/>
<testcase classname="tests.test_aql" name="test_query"><error message="teardown"/></testcase>
<testcase classname="tests.test_aql" name="test_old"><skipped/></testcase>
</testsuite></testsuites>"""


def test_a_test_whose_teardown_fails_has_failed(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(_JUNIT)
    outcomes = {result.name: result.outcome for result in junit([report], "")}
    assert outcomes == {
        "tests.test_document::test_insert": Outcome.PASSED,
        "tests.test_foxx::test_install": Outcome.FAILED,
        "tests.test_aql::test_query": Outcome.FAILED,
        "tests.test_aql::test_old": Outcome.SKIPPED,
    }


def test_a_suite_without_a_report_did_not_run(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="no such server"):
        junit([tmp_path / "report.xml"], "no such server")


def test_tests_skipped_by_a_failed_hook_count_as_failed(tmp_path: Path) -> None:
    first = {"file": "/x/08-cursors.js", "fullTitle": "Cursors first"}
    second = {"file": "/x/08-cursors.js", "fullTitle": "Cursors second"}
    hook = {"file": "/x/08-cursors.js", "fullTitle": 'Cursors "before each" hook', "err": {"message": "no database"}}
    everything, report = tmp_path / "everything.json", tmp_path / "report.json"
    everything.write_text(json.dumps({"tests": [first, second]}))
    report.write_text(json.dumps({"passes": [first], "failures": [hook], "pending": []}))
    found = mocha(report, everything, "")
    assert found == [
        Result("08-cursors::Cursors first", Outcome.PASSED),
        Result("08-cursors::Cursors second", Outcome.FAILED, "not run: no database"),
    ]


def test_an_unfinished_go_test_counts_as_failed_and_a_group_by_its_subtests() -> None:
    """A crash ends the process: a test in progress without an end has not passed."""
    events = [
        {"Action": "run", "Test": "Test_Read"},
        {"Action": "run", "Test": "Test_Read/HTTP_JSON"},
        {"Action": "pass", "Test": "Test_Read/HTTP_JSON"},
        {"Action": "run", "Test": "Test_Read/HTTP2_JSON"},
        {"Action": "output", "Test": "Test_Read/HTTP2_JSON", "Output": "not equal"},
        {"Action": "fail", "Test": "Test_Read/HTTP2_JSON"},
        {"Action": "fail", "Test": "Test_Read"},
        {"Action": "run", "Test": "Test_Old"},
        {"Action": "skip", "Test": "Test_Old"},
        {"Action": "run", "Test": "Test_Setup"},
        {"Action": "run", "Test": "Test_Setup/first"},
        {"Action": "pass", "Test": "Test_Setup/first"},
        {"Action": "output", "Test": "Test_Setup", "Output": "no cleanup"},
        {"Action": "fail", "Test": "Test_Setup"},
        {"Action": "run", "Test": "Test_Crash"},
        {"Action": "fail"},
    ]
    printed = "\n".join(["go: downloading", *map(json.dumps, events), "exit status 2"])
    assert golang(printed) == [
        Result("Test_Read/HTTP_JSON", Outcome.PASSED),
        Result("Test_Read/HTTP2_JSON", Outcome.FAILED, "not equal"),
        Result("Test_Old", Outcome.SKIPPED),
        Result("Test_Setup", Outcome.FAILED, "no cleanup"),
        Result("Test_Setup/first", Outcome.PASSED),
        Result("Test_Crash", Outcome.FAILED, "did not end\n"),
    ]


def test_the_rate_counts_what_is_in_scope() -> None:
    ruled = scope.Scope(1.0, [("queries", "tests.test_aql*")], {"tests.test_foxx*": "JavaScript in the server"})
    cases = ruled.applied(
        [Result("tests.test_aql::test_query", Outcome.PASSED), Result("tests.test_foxx::test_install", Outcome.FAILED)]
    )
    run = table.Run("one", Kind.SHADOW, ruled.goal, cases)
    assert (run.rate, run.reached, run.number(Outcome.OUT_OF_SCOPE)) == (1.0, True, 1)
    assert cases[1].message == "JavaScript in the server"
    assert cases[0].feature == "queries"


def test_databases_that_differ_after_a_suite_fail_its_goal() -> None:
    cases = scope.Scope(0.9, [], {}).applied([Result("test_insert", Outcome.PASSED)])
    run = table.Run("one", Kind.SHADOW, 0.9, cases, apart=["_system/books/k: missing"])
    assert not run.reached
    assert "one shadow apart: _system/books/k: missing" in table.lines([run])


def test_a_suite_that_does_not_end_in_time_did_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite, "SUITE_TIMEOUT", 0.2)
    with pytest.raises(ReportError, match="not ended"):
        suite.command(["sh", "-c", "sleep 60 & wait"], tmp_path, tmp_path)


@pytest.mark.parametrize("name", find())
def test_every_suite_has_a_scope_with_reasons(name: str) -> None:
    ruled = scope.load(name)
    assert 0.9 <= ruled.goal <= 1
    assert all(ruled.out_of_scope.values())


def test_a_missing_checkout_is_named_with_how_to_get_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path), "--suite", "python-arango"]) == 2
    assert "git clone https://github.com/arangodb/python-arango" in capsys.readouterr().err
