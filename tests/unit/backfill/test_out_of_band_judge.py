"""Detection of out-of-band writes: each way in which a proxy reports a write, and each limit, as a case (I10)."""

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


def _report(
    *revisions: int, keys: tuple[str, ...] = (), whole: bool = False, at: float = 10.5, of: str = SHOP
) -> ReportedWrites:
    return ReportedWrites(of, revisions, keys, whole, at)


def _is_out_of_band(
    sighting: OriginVersion,
    *reports: ReportedWrites,
    reached: float = 20.0,
    unverified: Mapping[str, float] | None = None,
    gaps: tuple[Gap, ...] = (),
    stored: Mapping[tuple[str, str], Stored] | None = None,
) -> bool:
    suspects = PendingVersions()
    suspects.saw([sighting])
    suspects.learn(reports, 20.0)
    due = suspects.due(reached)
    found = suspects.judge(due, unverified=unverified or {}, gaps=gaps, stored=stored or {})
    return found == [sighting]


@pytest.mark.parametrize(
    ("reports", "expected"),
    [
        ((), True),
        ((_report(7),), False),
        ((_report(8),), True),
        ((_report(-7),), True),  # a removal of that version is another write
        ((_report(7, of="shop/others"),), True),
        ((_report(keys=("k",)),), False),
        ((_report(keys=("other",)),), True),
        ((_report(keys=("k",), at=9.9),), True),  # reported before the version can have been written
        ((_report(whole=True),), False),
        ((_report(whole=True, of="shop/*"),), False),
        ((_report(whole=True, of="other/*"),), True),
        ((_report(whole=True, at=9.9),), True),
    ],
)
def test_reports_of_proxies(reports: tuple[ReportedWrites, ...], expected: bool) -> None:
    assert _is_out_of_band(_seen(), *reports) is expected


def test_a_removal_is_reported_by_the_version_that_it_removed() -> None:
    assert not _is_out_of_band(_seen(removed=True), _report(-7))
    assert _is_out_of_band(_seen(removed=True), _report(7))


@pytest.mark.parametrize(
    ("until", "expected"),
    [(INFINITY, False), (10.0, False), (9.9, True)],
    ids=["not covered", "covered since", "before"],
)
def test_a_mark_explains_writes_until_a_verification_that_covers_it_began(until: float, expected: bool) -> None:
    assert _is_out_of_band(_seen(), unverified={SHOP: until}) is expected


@pytest.mark.parametrize(
    ("gap", "stored", "expected"),
    [
        (Gap(9.0, 12.0), Stored(7, alive=True), False),
        (Gap(9.0, 12.0), Stored(8, alive=False), False),
        (Gap(9.0, 12.0), Stored(6, alive=True), True),
        (Gap(9.0, 12.0), None, True),
        (Gap(11.1, 12.0), Stored(7, alive=True), True),  # seen before the gap
        (Gap(8.0, 9.9), Stored(7, alive=True), True),  # written after the gap
    ],
)
def test_a_row_proves_a_write_of_a_killed_process(gap: Gap, stored: Stored | None, expected: bool) -> None:
    rows = {} if stored is None else {(SHOP, "k"): stored}
    assert _is_out_of_band(_seen(), gaps=(gap,), stored=rows) is expected


def test_a_removal_by_a_killed_process_is_proved_by_a_tombstone() -> None:
    removal = _seen(removed=True)
    for stored, expected in (
        (Stored(7, alive=False), False),
        (Stored(7, alive=True), True),
        (Stored(9, alive=True), False),
    ):
        assert _is_out_of_band(removal, gaps=(Gap(9.0, 12.0),), stored={(SHOP, "k"): stored}) is expected


def test_a_row_proves_nothing_if_no_process_was_killed() -> None:
    """Backfill and repair also copy out-of-band writes."""
    assert _is_out_of_band(_seen(), stored={(SHOP, "k"): Stored(7, alive=True)})


def test_nothing_is_judged_before_every_process_has_reported() -> None:
    suspects = PendingVersions()
    suspects.saw([_seen(seen=11.0)])
    assert suspects.due(11.0) == []
    assert suspects.count() == {SHOP: 1}
    assert len(suspects.due(11.1)) == 1


def test_reported_or_judged_versions_are_not_pending_again() -> None:
    suspects = PendingVersions()
    suspects.learn([_report(7)], 20.0)
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


def test_versions_whose_record_failed_are_judged_again() -> None:
    suspects = PendingVersions()
    suspects.saw([_seen()])
    for _ in range(2):
        due = suspects.due(20.0)
        assert suspects.judge(due, unverified={}, gaps=(), stored={}) == [_seen()]
    suspects.done(due)
    assert suspects.due(20.0) == []


def test_memory_is_bounded_and_overflow_is_reported() -> None:
    suspects = PendingVersions(most=3)
    suspects.saw(_seen(rev) for rev in range(5))
    assert (len(suspects), suspects.overflowed) == (3, True)
    suspects.forget([SHOP])
    assert len(suspects) == 0


def test_reports_expire_after_minutes() -> None:
    suspects = PendingVersions()
    suspects.learn([_report(7, keys=("k",), whole=True, at=1000.0)], 1000.0)
    suspects.learn([], 1299.0)
    suspects.saw([_seen(7)])
    assert len(suspects) == 0
    for now in (1301.0, 1602.0, 1903.0):
        suspects.learn([], now)
    suspects.saw([_seen(7, after=900.0, seen=2000.0)])
    assert len(suspects.due(2100.0)) == 1
