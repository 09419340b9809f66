"""Whose revision is nobody's: each way in which a proxy tells a write, and each limit, as a case (I10)."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from backfill.out_of_band_judge import Gap, OriginVersion, PendingVersions, ReportedWrites
from proxy.replication.versions import Stored

SHOP = "shop/orders"
INFINITY = float("inf")


def _seen(
    rev: int = 7, *, key: str = "k", removed: bool = False, after: float = 10.0, seen: float = 11.0
) -> OriginVersion:
    return OriginVersion(SHOP, key, rev, removed, after, seen)


def _told(
    *revisions: int, keys: tuple[str, ...] = (), whole: bool = False, at: float = 10.5, of: str = SHOP
) -> ReportedWrites:
    return ReportedWrites(of, revisions, keys, whole, at)


def _guilty(
    sighting: OriginVersion,
    *told: ReportedWrites,
    reached: float = 20.0,
    unverified: Mapping[str, float] | None = None,
    gaps: tuple[Gap, ...] = (),
    stored: Mapping[tuple[str, str], Stored] | None = None,
) -> bool:
    suspects = PendingVersions()
    suspects.saw([sighting])
    suspects.learn(told, 20.0)
    due = suspects.due(reached)
    found = suspects.judge(due, unverified=unverified or {}, gaps=gaps, stored=stored or {})
    return found == [sighting]


@pytest.mark.parametrize(
    ("told", "guilty"),
    [
        ((), True),
        ((_told(7),), False),
        ((_told(8),), True),
        ((_told(-7),), True),  # a removal of that version is another write
        ((_told(7, of="shop/others"),), True),
        ((_told(keys=("k",)),), False),
        ((_told(keys=("other",)),), True),
        ((_told(keys=("k",), at=9.9),), True),  # read again before it can have been written
        ((_told(whole=True),), False),
        ((_told(whole=True, of="shop/*"),), False),
        ((_told(whole=True, of="other/*"),), True),
        ((_told(whole=True, at=9.9),), True),
    ],
)
def test_what_proxies_told(told: tuple[ReportedWrites, ...], guilty: bool) -> None:
    assert _guilty(_seen(), *told) is guilty


def test_a_removal_is_told_by_the_version_that_it_removed() -> None:
    assert not _guilty(_seen(removed=True), _told(-7))
    assert _guilty(_seen(removed=True), _told(7))


@pytest.mark.parametrize(
    ("until", "guilty"), [(INFINITY, False), (10.0, False), (9.9, True)], ids=["not covered", "covered since", "before"]
)
def test_a_mark_explains_writes_until_a_verification_that_covers_it_began(until: float, guilty: bool) -> None:
    assert _guilty(_seen(), unverified={SHOP: until}) is guilty


@pytest.mark.parametrize(
    ("gap", "stored", "guilty"),
    [
        (Gap(9.0, 12.0), Stored(7, alive=True), False),
        (Gap(9.0, 12.0), Stored(8, alive=False), False),
        (Gap(9.0, 12.0), Stored(6, alive=True), True),
        (Gap(9.0, 12.0), None, True),
        (Gap(11.1, 12.0), Stored(7, alive=True), True),  # it was shown before
        (Gap(8.0, 9.9), Stored(7, alive=True), True),  # it was written after
    ],
)
def test_of_a_process_that_was_killed_a_row_is_taken_as_proof(gap: Gap, stored: Stored | None, guilty: bool) -> None:
    rows = {} if stored is None else {(SHOP, "k"): stored}
    assert _guilty(_seen(), gaps=(gap,), stored=rows) is guilty


def test_a_removal_by_a_killed_process_is_proved_by_a_tombstone() -> None:
    gone = _seen(removed=True)
    for stored, guilty in (
        (Stored(7, alive=False), False),
        (Stored(7, alive=True), True),
        (Stored(9, alive=True), False),
    ):
        assert _guilty(gone, gaps=(Gap(9.0, 12.0),), stored={(SHOP, "k"): stored}) is guilty


def test_a_row_proves_nothing_where_no_process_was_killed() -> None:
    """Backfill and repair copy what anybody wrote."""
    assert _guilty(_seen(), stored={(SHOP, "k"): Stored(7, alive=True)})


def test_nothing_is_judged_before_every_process_has_told() -> None:
    suspects = PendingVersions()
    suspects.saw([_seen(seen=11.0)])
    assert suspects.due(11.0) == []
    assert suspects.count() == {SHOP: 1}
    assert len(suspects.due(11.1)) == 1


def test_what_was_told_first_or_judged_once_does_not_come_again() -> None:
    suspects = PendingVersions()
    suspects.learn([_told(7)], 20.0)
    suspects.saw([_seen(7)])
    assert len(suspects) == 0
    suspects.saw([_seen(8)])
    judged = suspects.judge(suspects.due(20.0), unverified={}, gaps=(), stored={})
    assert [one.rev for one in judged] == [8]
    suspects.done(judged)
    suspects.saw([_seen(8)])
    assert len(suspects) == 0
    suspects.dismiss([_seen(9)])
    suspects.saw([_seen(9)])
    assert len(suspects) == 0


def test_what_could_not_be_written_down_is_judged_again() -> None:
    suspects = PendingVersions()
    suspects.saw([_seen()])
    for _ in range(2):
        due = suspects.due(20.0)
        assert suspects.judge(due, unverified={}, gaps=(), stored={}) == [_seen()]
    suspects.done(due)
    assert suspects.due(20.0) == []


def test_memory_is_bounded_and_what_was_forgotten_is_said() -> None:
    suspects = PendingVersions(most=3)
    suspects.saw(_seen(rev) for rev in range(5))
    assert (len(suspects), suspects.overflowed) == (3, True)
    suspects.forget([SHOP])
    assert len(suspects) == 0


def test_what_was_told_is_remembered_for_minutes_and_then_forgotten() -> None:
    suspects = PendingVersions()
    suspects.learn([_told(7, keys=("k",), whole=True, at=1000.0)], 1000.0)
    suspects.learn([], 1299.0)
    suspects.saw([_seen(7)])
    assert len(suspects) == 0
    for now in (1301.0, 1602.0, 1903.0):
        suspects.learn([], now)
    suspects.saw([_seen(7, after=900.0, seen=2000.0)])
    assert len(suspects.due(2100.0)) == 1
