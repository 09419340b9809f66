"""Throttling decisions: pauses and their reasons."""

from __future__ import annotations

import pytest

from backfill.throttle import LONGEST, Latency, LoadFigures, Meter, ThrottleLimits, as_options, decide


def test_without_limits_there_is_no_pause() -> None:
    assert decide(ThrottleLimits(), LoadFigures(10**9, 0.0, lag=3600)).wait == 0


def test_the_rate_limit_spreads_documents_over_time() -> None:
    limits = ThrottleLimits(max_rate=100)
    early = decide(limits, LoadFigures(50, 0.2))
    assert (round(early.wait, 3), early.reason) == (0.3, "the rate limit is 100 documents/s")
    assert decide(limits, LoadFigures(50, 0.5)).wait == 0
    assert decide(limits, LoadFigures(10_000, 0.5)).wait == LONGEST


def test_the_mirror_s_lag_comes_first() -> None:
    decision = decide(ThrottleLimits(max_rate=1, max_lag=5), LoadFigures(100, 0.0, lag=7.25))
    assert decision.reason == "the mirror is 7.2 s behind, more than 5 s"
    assert decision.wait > 0


def test_operators_come_first_and_unreadable_lag_is_a_reason() -> None:
    limits = ThrottleLimits(max_lag=5, max_replica_lag=2, max_slowdown=3, flag_file="/run/hold", paused=True)
    bad = LoadFigures(0, 0, lag=9, replica_lag=None, origin=4, target=5, flagged=True)
    assert decide(limits, bad).reason.startswith("paused")
    limits = ThrottleLimits(max_lag=5, max_replica_lag=2, max_slowdown=3, flag_file="/run/hold")
    assert decide(limits, bad).reason == "the file /run/hold exists"
    fine = LoadFigures(0, 0, replica_lag=0.0)
    assert decide(limits, fine).wait == 0
    assert decide(limits, LoadFigures(0, 0, replica_lag=None)).reason.endswith("grant pg_monitor to this account")
    assert decide(limits, LoadFigures(0, 0, replica_lag=2.5)).reason == (
        "PostgreSQL's replica is 2.5 s behind, more than 2 s"
    )
    assert decide(limits, LoadFigures(0, 0, origin=4)).reason == "ArangoDB takes 4.0 times its usual time, more than 3"
    assert (
        decide(limits, LoadFigures(0, 0, target=4)).reason == "PostgreSQL takes 4.0 times its usual time, more than 3"
    )


def test_the_stricter_of_two_limits_holds() -> None:
    both = ThrottleLimits(max_rate=10, max_lag=5).combined_with(
        ThrottleLimits(max_rate=4, max_replica_lag=1, flag_file="f", paused=True)
    )
    assert both == ThrottleLimits(max_rate=4, max_lag=5, max_replica_lag=1, flag_file="f", paused=True)
    assert ThrottleLimits(max_rate=10).shared(4).max_rate == 2.5
    assert ThrottleLimits().shared(0).max_rate is None
    assert as_options(ThrottleLimits(max_rate=10, flag_file="f")) == {"max-rate": 10, "flag-file": "f"}


def test_latency_is_relative_to_the_usual_one() -> None:
    latency = Latency()
    assert latency.times == 1.0
    for _ in range(10):
        latency.add(0.010)
    assert latency.times == pytest.approx(1.0)
    latency.add(0.500)
    assert latency.times == pytest.approx(1.0)  # one slow response has no effect
    for _ in range(3):
        latency.add(0.100)
    assert latency.times == pytest.approx(10.0, rel=0.2)
    for _ in range(400):
        latency.add(0.100)
    assert latency.times == pytest.approx(1.0, rel=0.1)  # the usual time has adapted
    quick = Latency()
    for seconds in (0.000_01, 0.001, 0.001, 0.001):
        quick.add(seconds)
    assert quick.times < 1  # below the least usual time


def test_documents_ahead_of_the_old_rate_count_against_the_new_one() -> None:
    now = 0.0
    meter = Meter(lambda: now)
    meter.add(100, 10.0)
    now = 4.0
    meter.add(0, 20.0)
    assert (meter.documents, meter.seconds) == (60.0, 0.0)  # 40 of them were due at the old rate
    now = 100.0
    meter.add(5, None)
    assert meter.documents == 5  # unused time gives no credit
