"""Have the other proxies applied what they took before a moment (I8)?"""

from __future__ import annotations

from proxy.shadow.peer_lag import PeerHeartbeat, PeerLag, caught_up


def waited(since: float, *looks: dict[str, PeerHeartbeat]) -> list[bool]:
    first: dict[str, float] = {}
    return [caught_up(since, first, look) for look in looks]


def test_nobody_else_has_nothing_open() -> None:
    assert waited(10.0, {}) == [True]


def test_a_beat_from_before_says_nothing() -> None:
    assert waited(10.0, {"a": PeerHeartbeat(9.9, 0.0)}, {"a": PeerHeartbeat(10.0, 0.0)}) == [False, False]


def test_the_second_beat_after_the_moment_counts() -> None:
    """The first may have been measured before the moment, and written after it."""
    assert waited(
        10.0, {"a": PeerHeartbeat(10.1, 0.0)}, {"a": PeerHeartbeat(10.1, 0.0)}, {"a": PeerHeartbeat(10.3, 0.0)}
    ) == [False, False, True]


def test_an_older_intent_keeps_it_open() -> None:
    looks = [
        {"a": PeerHeartbeat(10.1, 0.0)},
        {"a": PeerHeartbeat(10.3, 0.5)},
        {"a": PeerHeartbeat(10.5, 0.35)},
        {"a": PeerHeartbeat(10.9, 0.1)},
    ]
    assert waited(10.0, *looks) == [False, False, False, True]


def test_newer_intents_do_not() -> None:
    """Under steady writes there is always something open; what matters is its age."""
    assert waited(10.0, {"a": PeerHeartbeat(10.5, 0.2)}, {"a": PeerHeartbeat(10.8, 0.2)}) == [False, True]


def test_everybody_counts() -> None:
    silent = PeerHeartbeat(9.0, 0.0)
    assert (
        waited(10.0, {"a": PeerHeartbeat(10.1, 0.0), "b": silent}, {"a": PeerHeartbeat(10.3, 0.0), "b": silent})[-1]
        is False
    )


async def test_alone_there_is_nobody_to_wait_for() -> None:
    fleet = PeerLag()
    assert await fleet.caught_up(0.0)
    await fleet.close()
