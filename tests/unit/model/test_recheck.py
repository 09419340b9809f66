"""Rechecks: the proof of a difference, and the pauses between checks."""

from __future__ import annotations

from proxy.model.recheck import Schedule, Streak


def test_two_equal_checks_prove_a_difference_if_the_mirror_caught_up_between_them() -> None:
    first = Streak("a")
    early = first.then("a", repeated=True, caught_up=False)
    assert (first.proves(), early) == (False, first)
    assert early.then("a", repeated=True, caught_up=True).proves()
    assert not early.then("a", repeated=True, caught_up=True).proves(4)


def test_a_check_with_another_result_starts_a_new_streak() -> None:
    assert Streak("a", 3).then("b", repeated=False, caught_up=True) == Streak("b")


def test_pauses_double_up_to_the_longest_until_the_time_is_over() -> None:
    schedule = Schedule(0.05, 0.15, until=10.0)
    assert [schedule.next() for _ in range(4)] == [0.05, 0.1, 0.15, 0.15]
    assert (schedule.left(9.0), schedule.left(11.0)) == (1.0, 0.0)


def test_a_streak_can_be_made_by_its_subscripted_name() -> None:
    named = Streak[str]
    assert named("a") == Streak("a")
