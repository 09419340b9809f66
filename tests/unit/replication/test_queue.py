"""The queue before PostgreSQL: a key is in one batch at a time (order), and what does not fit is refused whole (I2)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxy.journal.intent import Intent
from proxy.journal.records import DocumentWrite
from proxy.model.operations import Change
from proxy.replication.applier import ChangeBatch, Queue

A, B = "db/a", "db/b"


def intent() -> Intent:
    return Intent(1, A, DocumentWrite(), 1)


def put(queue: Queue, *keys: str, collection: str = A) -> bool:
    return queue.put(intent(), [Change(collection, key, 1, b"{}") for key in keys])


def keys_of(batch: ChangeBatch | None) -> list[str]:
    return [] if batch is None else [change.key for change, _ in batch.entries]


def test_beside_a_batch_under_way_another_is_taken_where_there_is_enough_for_one() -> None:
    queue = Queue(100, 1 << 20)
    put(queue, "1", "2", "3", "4", "5")
    first = queue.take(2)
    assert keys_of(first) == ["1", "2"]
    second = queue.take(2)
    assert keys_of(second) == ["3", "4"]
    assert queue.take(2) is None  # one alone waits for company
    assert not queue.ready.is_set()
    assert first is not None
    queue.applied(first)
    queue.done(first)
    assert queue.ready.is_set()
    assert queue.take(2) is None  # the second is still under way
    assert second is not None
    queue.applied(second)
    queue.done(second)
    assert keys_of(queue.take(2)) == ["5"]


def test_a_later_version_of_a_key_waits_for_the_batch_that_has_the_earlier_one() -> None:
    queue = Queue(100, 1 << 20)
    put(queue, "1", "2", "3", "1", "4", "5", "6")
    first, second = queue.take(2), queue.take(2)
    assert (keys_of(first), keys_of(second)) == (["1", "2"], ["3"])
    assert queue.take(2) is None
    assert first is not None
    queue.done(first)
    assert keys_of(queue.take(2)) == ["1", "4"]


def test_while_postgresql_is_away_nobody_else_tries_the_collection() -> None:
    queue = Queue(100, 1 << 20)
    put(queue, "1", "2", "3", "4")
    put(queue, "9", collection=B)
    first = queue.take(2)
    assert first is not None
    queue.put_back(first)
    other = queue.take(2)
    assert other is not None
    assert (other.collection, keys_of(other)) == (B, ["9"])
    assert queue.take(2) is None
    queue.done(first)
    assert keys_of(queue.take(2)) == ["1", "2"]  # in front again


def test_what_does_not_fit_is_refused_whole() -> None:
    queue = Queue(3, 1 << 20)
    assert put(queue, "1", "2")
    assert not put(queue, "3", "4")
    assert put(queue, "3")
    assert (queue.count, queue.waiting) == (3, 3)


@given(
    st.lists(st.sampled_from("abcdef"), max_size=40),
    st.integers(1, 4),
    st.lists(st.tuples(st.booleans(), st.integers(0, 5)), max_size=40),
)
def test_each_key_keeps_its_order_and_nothing_is_lost_or_taken_twice(
    keys: list[str], size: int, steps: list[tuple[bool, int]]
) -> None:
    """Batches end in any order, some of them by a failure."""
    queue = Queue(1000, 1 << 20)
    for number, key in enumerate(keys):
        queue.put(intent(), [Change(A, key, number, b"{}")])
    under_way: list[ChangeBatch] = []
    applied: list[tuple[str, int]] = []

    def end(batch: ChangeBatch, fails: bool) -> None:
        if fails:
            queue.put_back(batch)
        else:
            queue.applied(batch)
            applied.extend((change.key, change.rev) for change, _ in batch.entries)
        queue.done(batch)

    for fails, place in [*steps, *((False, 0) for _ in range(4 * len(keys) + 4))]:
        taken = queue.take(size)
        if taken is not None:
            assert not any(taken.keys & other.keys for other in under_way)
            under_way.append(taken)
        if under_way and (taken is None or place % 2):
            end(under_way.pop(place % len(under_way)), fails)
    for batch in under_way:
        end(batch, fails=False)
    while (taken := queue.take(size)) is not None:
        end(taken, fails=False)
    for key in set(keys):
        expected = [number for number, one in enumerate(keys) if one == key]
        assert [rev for one, rev in applied if one == key] == expected
    assert (queue.count, queue.waiting, queue.size) == (0, 0, 0)
