"""PostgreSQL's clock is set back: no instance reads there by a lease that its holder did not extend since (I7)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from proxy.control.instance.target_clock import TargetClock

START = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def test_a_clock_that_goes_on_is_trusted_and_a_step_forward_too() -> None:
    clock = TargetClock(1.0)
    assert not clock.saw(at(0), 100.0, 100.1)
    assert not clock.saw(at(0.3), 100.3, 100.5), "an answer may take its time"
    assert not clock.saw(at(600), 100.6, 100.6)
    assert clock.trusted


def test_behind_a_step_back_it_is_trusted_once_it_is_a_lease_beyond_what_it_had_shown() -> None:
    clock = TargetClock(1.0)
    clock.saw(at(600), 100.0, 100.0)
    assert clock.saw(at(0.25), 100.25, 100.25)
    assert not clock.trusted
    clock.saw(at(600.9), 700.9, 700.9)
    assert not clock.trusted, "a lease of before may hold until 601"
    clock.saw(at(601.0), 701.0, 701.0)
    assert clock.trusted


def test_a_drift_is_no_step() -> None:
    clock = TargetClock(1.0)
    clock.saw(at(0), 100.0, 100.0)
    assert not clock.saw(at(0.24), 100.25, 100.25)
    assert clock.trusted
