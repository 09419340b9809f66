"""Scans for writes whose keys never became known: what one covers, and when it must not be believed."""

from __future__ import annotations

import time

import pytest

from proxy.errors import UpstreamLost
from proxy.mirror import scan
from proxy.mirror.records import KEYLESS, REVISED, Note
from proxy.mirror.scan import Scans, TooMany, can_scan


class Origin:
    """Answers after `takes` seconds; `now` is the proxy's clock."""

    def __init__(self, found: int = 1) -> None:
        self.now = 1000.0
        self.takes = 0.0
        self.found = found
        self.asked: list[float] = []

    async def written_since(self, database: str, collection: str, seconds: float, limit: int) -> list[tuple[str, int]]:
        self.asked.append(seconds)
        self.now += self.takes
        return [(f"k{n}", n) for n in range(self.found)][:limit]


def scans_of(origin: Origin) -> Scans:
    return Scans(origin, lambda: origin.now)


def note(seq: int = 5, age: float = 0.0, flags: int = KEYLESS | REVISED) -> Note:
    return Note(seq, time.time() - age, 1, flags, "db/c", ())


async def test_a_scan_goes_back_to_the_oldest_intent_and_a_margin_beyond() -> None:
    origin = Origin()
    found, _ = await scans_of(origin).found("db/c", [note(age=10), note(age=30)], None)
    assert found == [("k0", 0)]
    assert 30 + scan.MARGIN <= origin.asked[0] < 31 + scan.MARGIN


async def test_one_that_was_on_its_way_for_longer_than_its_margin_is_asked_again_with_a_greater_one() -> None:
    """The origin counts back from when it runs the scan: what was written first may be too old by then (I3)."""
    origin = Origin()
    origin.takes = scan.MARGIN
    scans = scans_of(origin)
    with pytest.raises(UpstreamLost):
        await scans.found("db/c", [note()], None)
    found, _ = await scans.found("db/c", [note()], None)
    assert found
    assert origin.asked[1] > 2 * origin.takes


async def test_more_than_a_scan_should_give_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "_LIMIT", 3)
    with pytest.raises(TooMany):
        await scans_of(Origin(found=4)).found("db/c", [note()], None)


async def test_one_scan_is_enough_for_what_an_earlier_process_left() -> None:
    scans = scans_of(Origin())
    _, since = await scans.found("db/c", [note(age=10)], time.time() - 100)
    assert not scans.covered(note(seq=3, age=50), own=9)
    scans.done("db/c", since)
    assert scans.covered(note(seq=3, age=50), own=9)
    assert not scans.covered(note(seq=9, age=50), own=9), "an intent of this process may be of a later request"
    assert not scans.covered(note(seq=3, age=200), own=9)


def test_what_removes_cannot_be_found() -> None:
    assert can_scan(note())
    assert not can_scan(note(flags=KEYLESS))
    assert not can_scan(note()._replace(keys=("a",)))
    assert not can_scan(note()._replace(collection="db/\0"))
