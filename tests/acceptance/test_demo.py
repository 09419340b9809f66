"""The demo on a twentieth of its records: it passes, and it fails once a single value is changed."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from deploy.demo.cli_runner import DemoFailed
from deploy.demo.demo_options import DemoOptions
from deploy.demo.fake_data import DATABASE, RESUMES
from deploy.demo.harness import Harness
from deploy.demo.result_table import report
from deploy.demo.scenario import Scenario, run
from deploy.demo.stack import Stack

SMALL_DEMO = DemoOptions(share=0.05, clients=3, rate=60, steady=1.0, comparisons=50, lost_request_timeout=0.5)


@pytest.fixture(autouse=True)
def _embedded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ARANGO_URL", raising=False)
    monkeypatch.delenv("POSTGRES_DSN", raising=False)


@pytest.mark.long
@pytest.mark.timeout(420)
def test_the_demo_passes_and_its_checker_detects_a_changed_value() -> None:
    console = Console(file=io.StringIO(), width=140)
    harness = Harness(SMALL_DEMO, console)
    assert isinstance(console.file, io.StringIO)
    try:
        outcome = Scenario(SMALL_DEMO, harness).play()
        report(console, outcome)
        assert outcome.good(), console.file.getvalue()

        key = next(iter(harness.traffic.expected()[RESUMES]))
        harness.databases.falsify(key, ("user_id",))
        outcome.comparisons = harness.databases.compare_all([(DATABASE, RESUMES)])
        assert outcome.comparisons[0].different == [key]
        assert not outcome.good()
    except DemoFailed as failed:
        raise AssertionError(f"{failed}\n{console.file.getvalue()}") from failed
    finally:
        harness.close()


def test_a_failing_demo_names_the_failure_and_stops_its_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    stopped: list[Stack] = []

    def fail(self: Harness) -> None:
        raise DemoFailed("the sky is not blue")

    def stop(self: Stack) -> None:
        stopped.append(self)

    monkeypatch.setattr(Harness, "start_history", fail)
    monkeypatch.setattr(Stack, "stop", stop)
    console = Console(file=io.StringIO(), width=140)
    assert isinstance(console.file, io.StringIO)
    assert run(SMALL_DEMO, console) is False
    assert "the sky is not blue" in console.file.getvalue()
    assert len(stopped) == 1
