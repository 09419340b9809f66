"""Why a worker waits, and how long."""

from __future__ import annotations

from backfill.throttle import LONGEST, Figures, Limits, decide


def test_without_limits_nobody_waits() -> None:
    assert decide(Limits(), Figures(10**9, 0.0, lag=3600)).wait == 0


def test_the_rate_limit_spreads_documents_over_time() -> None:
    limits = Limits(max_rate=100)
    early = decide(limits, Figures(50, 0.2))
    assert (round(early.wait, 3), early.reason) == (0.3, "the rate limit is 100 documents/s")
    assert decide(limits, Figures(50, 0.5)).wait == 0
    assert decide(limits, Figures(10_000, 0.5)).wait == LONGEST


def test_the_mirror_s_lag_comes_first() -> None:
    decision = decide(Limits(max_rate=1, max_lag=5), Figures(100, 0.0, lag=7.25))
    assert decision.reason == "the mirror is 7.2 s behind, more than 5 s"
    assert decision.wait > 0
