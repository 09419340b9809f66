"""Tallies: sums and JSON; rates, remaining time and summary lines of runs."""

from __future__ import annotations

import json
from dataclasses import replace

from backfill.run_summary import SAMPLES, Rate, RunSummary, VerificationTally, duration, line, samples

STATUS = RunSummary(
    run=3,
    collection="shop/carts",
    kind="backfill",
    mode="copy",
    state="open",
    documents=500,
    bytes=10_000,
    chunks=4,
    done=1,
    claimed=2,
    seconds=10.0,
    planned=1_000,
)


def test_tallies_add_up_and_keep_some_keys() -> None:
    tally = VerificationTally(origin=3, checked=3, pending={"p": 7}).found("missing", "a")
    for number in range(30):
        tally = tally.found("extra", f"{number}")
    both = tally + VerificationTally(target=5, remaining=2, pending={"q": None}).found("missing", "b")
    assert (both.origin, both.target, both.missing, both.extra, both.remaining) == (3, 5, 2, 30, 2)
    assert both.keys["missing"] == ("a", "b")
    assert len(both.keys["extra"]) == SAMPLES
    assert both.pending == {"p": 7, "q": None}
    assert VerificationTally.from_json(json.loads(json.dumps(both.as_json()))) == both
    assert VerificationTally.from_json({}) == VerificationTally()
    assert both.result()["differences"] == 2


def test_remaining_time_follows_from_the_recent_rate() -> None:
    rate = Rate(window=10)
    assert (rate.value, rate.left(100)) == (0.0, None)
    for second in range(31):
        rate.add(second, min(second, 20) * 10 + max(second - 20, 0) * 100)
    assert rate.value == 100.0  # the slow first twenty seconds are outside the window
    assert rate.left(2_200) == 10.0
    assert rate.left(10) == 0.0
    stuck = Rate()
    stuck.add(1, 5)
    stuck.add(1, 5)
    assert stuck.value == 0.0


def test_durations() -> None:
    assert [duration(s) for s in (None, 4.4, 125, 4200)] == ["?", "4 s", "2 min 05 s", "1 h 10 min"]


def test_an_open_run_in_a_line() -> None:
    assert line(STATUS, 1234.5, 60) == (
        "backfill shop/carts: run 3 open, 500 of about 1,000 documents (50 %), 1,234/s, 1 min 00 s left, 2 workers"
    )
    assert STATUS.share == 0.5
    assert replace(STATUS, documents=2_000).share == 0.999  # live writes: more documents than planned
    assert replace(STATUS, planned=0).share == 0.0


def test_an_ended_run_in_a_line() -> None:
    done = replace(STATUS, state="done", documents=1_000)
    assert done.share == 1.0
    assert line(done) == "backfill shop/carts: run 3 done, 1,000 documents in 10 s (100/s)"
    dead = replace(done, result={"dead_letters": 2})
    assert line(dead).endswith("; 2 documents that PostgreSQL refuses are dead letters")
    failed = replace(done, state="failed", seconds=0.0, result={"error": "gone"})
    assert line(failed) == "backfill shop/carts: run 3 failed, 1,000 documents in 0 s (0/s): gone"


def test_a_verification_in_a_line() -> None:
    tally = VerificationTally(checked=9, repaired=1, remaining=1).found("missing", "a").found("undecided", "b")
    verified = replace(STATUS, kind="verify", mode="fast", state="done", result=tally.result())
    assert line(verified).endswith("; 9 keys checked: 1 missing, 1 undecided; 1 repaired; 1 still differ")
    assert samples([verified, STATUS]) == ["  shop/carts missing: a", "  shop/carts undecided: b"]
    assert line(replace(verified, result=VerificationTally(checked=9).result())).endswith("; 9 keys checked: equal")
    assert verified.as_json()["result"]["differences"] == 1


def test_a_partial_check_states_its_share() -> None:
    check = replace(STATUS, kind="check", mode="fast", state="done", result={"checked": 250})
    assert "250 keys of 1,000 (25 %) checked: equal" in line(check)
    throttled = replace(STATUS, waiting=("paused",))
    assert line(throttled).endswith("2 workers; waits: paused")
    assert throttled.as_json()["throttled"] == ["paused"]
