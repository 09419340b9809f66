"""Scans for writes whose keys never became known: from when on they look, and what one covers."""

from __future__ import annotations

import time

import pytest

from proxy.journal.records import DocumentWrite, Note
from proxy.model import clock
from proxy.model.clock import OriginClock
from proxy.model.operations import Change
from proxy.replication import revision_scan
from proxy.replication.revision_scan import MARGIN, Scans, TooMany, can_scan

NOW = 5_000_000_000  # milliseconds of the origin's clock, which has nothing to do with ours


class Origin:
    """`now` is its clock."""

    def __init__(self, found: int = 1) -> None:
        self.now = NOW
        self.found = found
        self.asked: list[int] = []

    async def time_now(self, database: str) -> int:
        return self.now

    async def written_since(self, database: str, collection: str, since: int, limit: int) -> list[tuple[str, int]]:
        self.asked.append(since)
        return [(f"k{n}", n) for n in range(self.found)][:limit]


ANYTHING = DocumentWrite(revised=True)


def note(seq: int = 5, age: float = 0.0, write: DocumentWrite = ANYTHING) -> Note:
    """One that was taken so many seconds ago, when the origin had just shown its clock."""
    return Note(seq, time.time() - age, 1, "db/c", write, clock.uptime() - age, NOW - int(1000 * age))


async def test_a_scan_goes_back_to_what_the_origin_had_shown_before_the_oldest_intent_and_a_margin_beyond() -> None:
    origin = Origin()
    found, _ = await Scans(origin).found("db/c", [note(age=10), note(age=30)], None)
    assert found == [("k0", 0)]
    assert NOW - 31_000 - MARGIN <= origin.asked[0] <= NOW - 30_000 - MARGIN


@pytest.mark.parametrize("step", [-600.0, 600.0])
async def test_a_step_of_this_machines_clock_changes_nothing(step: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten minutes ahead, PostgreSQL away for a while, then set right; or the other way round (I3)."""
    taken = note(age=120)._replace(time=time.time() - 120 - step)
    origin = Origin()
    await Scans(origin).found("db/c", [taken], None)
    assert origin.asked[0] <= NOW - 120_000 - MARGIN


async def test_a_step_back_of_the_origins_clock_is_seen_by_the_age_of_the_intent() -> None:
    """Behind the step it gave a revision that is older than what it had shown."""
    origin = Origin()
    taken = note(age=100)
    origin.now = NOW - 600_000  # set back by ten minutes, right before the write
    await Scans(origin).found("db/c", [taken], None)
    assert origin.asked[0] <= NOW - 600_000 - 100_000 - MARGIN + 1000


async def test_an_intent_from_before_the_origin_had_shown_a_time_is_searched_in_all() -> None:
    origin = Origin()
    await Scans(origin).found("db/c", [note()._replace(since=0)], None)
    assert origin.asked == [0]


async def test_more_than_a_scan_should_give_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revision_scan, "_LIMIT", 3)
    with pytest.raises(TooMany):
        await Scans(Origin(found=4)).found("db/c", [note()], None)


async def test_one_scan_is_enough_for_what_an_earlier_process_left() -> None:
    scans = Scans(Origin())
    _, since = await scans.found("db/c", [note(age=10)], note(seq=1, age=100))
    assert not scans.covered(note(seq=3, age=50), own=9)
    scans.done("db/c", since)
    assert scans.covered(note(seq=3, age=50), own=9)
    assert not scans.covered(note(seq=9, age=50), own=9), "an intent of this process may be of a later request"
    assert not scans.covered(note(seq=3, age=200), own=9)


def test_what_removes_cannot_be_found() -> None:
    assert can_scan(note())
    assert not can_scan(note(write=DocumentWrite()))
    assert not can_scan(note(write=DocumentWrite(("a",), revised=True)))
    assert not can_scan(note()._replace(collection="db/\0"))


# ---- clocks


def test_the_origins_clock_is_told_by_revisions_that_it_gave_just_now() -> None:
    known = OriginClock()
    known.observe_time(1000)
    known.observe_changes([Change("db/c", "a", 1500 << 20, b"{}"), Change("db/c", "b", 9000 << 20, None)])
    assert known.shown == 1500, "the revision of a removal is an older write's"
    known.observe_time(1200)
    assert known.shown == 1500


def test_an_age_is_never_less_than_any_clock_says() -> None:
    taken, up = time.time(), clock.uptime()
    assert clock.age(taken + 600, up - 30) >= 30, "the wall clock was set back"
    assert clock.age(taken - 600, up - 30) >= 600, "it was set ahead, or the machine has been booted again"
    assert clock.age(taken - 600, 0.0) >= 600
