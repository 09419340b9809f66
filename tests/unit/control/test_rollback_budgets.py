"""What an automatic rollback allows, and what it counts: pure."""

from __future__ import annotations

import math

import pytest

from proxy.control.preflight import judge as judge_reached
from proxy.control.read_stats import WINDOW, ReadFigures, Readings
from proxy.control.rollback_budgets import RollbackBudget, judge


@pytest.mark.parametrize(
    ("figures", "mismatched", "expected"),
    [
        (ReadFigures(reads=1000), 0, ""),
        (ReadFigures(), 0, ""),
        (ReadFigures(), 1, "confirmed mismatches since automatic rollback was armed: 1, allowed: 0"),
        (ReadFigures(reads=4, errors=2), 0, ""),  # two of anything are no trend
        (ReadFigures(reads=300, errors=3), 0, ""),  # 1 % is allowed
        (ReadFigures(reads=299, errors=3), 0, "3 of 299 reads failed on PostgreSQL within 6 s (1.0%, 1 % are allowed)"),
        (ReadFigures(reads=500, slow=5), 0, ""),
        (
            ReadFigures(reads=10, slow=5, worst=0.9),
            0,
            "5 of 10 reads on PostgreSQL took longer than 250 ms within 6 s "
            "(50.0%, 1 % are allowed; the longest 900 ms)",
        ),
    ],
)
def test_what_is_over_a_budget(figures: ReadFigures, mismatched: int, expected: str) -> None:
    assert judge(RollbackBudget(), mismatched, figures) == expected


def test_budgets_are_the_operators() -> None:
    assert (
        judge(RollbackBudget(errors_percent=50, seconds=None, mismatches=2), 2, ReadFigures(reads=10, errors=5, slow=9))
        == ""
    )


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_readings_count_what_is_watched_within_the_window() -> None:
    clock = Clock()
    readings = Readings(clock)
    assert readings.begin(("db/a",)) is None  # nobody watches
    readings.watch({"db/a": 0.5, "db/b": math.inf})
    for took, failed in ((0.1, False), (0.7, False), (0.2, True)):
        reading = readings.begin(("db/a", "db/b", "db/c"))
        clock.now += took
        readings.end(reading, failed=failed)
    readings.end(readings.begin(("db/a",)), failed=False, counts=False)  # it was not PostgreSQL's to answer
    seen = readings.figures("db/a")
    assert (seen.reads, seen.errors, seen.slow, round(seen.worst, 1)) == (3, 1, 1, 0.7)
    assert readings.figures("db/b").slow == 0
    assert readings.figures("db/c") == ReadFigures()
    clock.now += WINDOW + 1
    assert readings.figures("db/a") == ReadFigures()
    readings.end(readings.begin(("db/a",)), failed=False)
    readings.watch({"db/b": 1.0})
    assert readings.figures("db/a") == ReadFigures()


def test_a_read_that_hangs_is_slow_before_it_ends() -> None:
    clock = Clock()
    readings = Readings(clock)
    readings.watch({"db/a": 0.5})
    hanging = readings.begin(("db/a",))
    assert readings.figures("db/a") == ReadFigures()
    clock.now += 3.0
    assert readings.figures("db/a") == ReadFigures(reads=1, slow=1, worst=3.0)
    readings.watch({})  # what nobody watches any more ends unseen
    readings.end(hanging, failed=True)
    assert readings.figures("db/a") == ReadFigures()


WELL = {
    "instance": "one",
    "generation": 7,
    "epoch": 3,
    "diverged": False,
    "backlog": 2,
    "lag_seconds": 0.1,
    "postgresql": "",
    "arangodb": "",
}


@pytest.mark.parametrize(
    ("said", "trouble"),
    [
        ({}, ""),
        ({"generation": 6}, "it runs at generation 6, not 7"),
        ({"diverged": True}, "it is diverged"),
        ({"postgresql": "connection refused"}, "PostgreSQL does not answer it: connection refused"),
        ({"arangodb": "no answer within 1.5 s"}, "ArangoDB does not answer it: no answer"),
        ({"instance": "two"}, "http://one is two: set its CROSSFADE_ADMIN_ADVERTISE"),
        ({"instance": None}, "http://one is no Crossfade"),
    ],
)
def test_what_an_instance_says_of_itself(said: dict[str, object], trouble: str) -> None:
    found = judge_reached("one", "http://one", {**WELL, **said}, 7)
    assert trouble in found.trouble
    assert bool(found.trouble) is bool(said)
    if not said:
        assert (found.generation, found.backlog, found.lag_seconds) == (7, 2, 0.1)
