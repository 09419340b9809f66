"""Which reads are compared together: in order, by collection, a limited number, and none before its time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxy.model.operations import Operation, Outcome
from proxy.routing.query_shapes import Shape
from proxy.shadow.batching import TOGETHER, WAIT, Batcher
from proxy.shadow.jobs import ReadToCompare
from proxy.wire.endpoints import named


def read(key: str, collection: str = "c", *, conditional: bool = False, reversed_: bool = False) -> ReadToCompare:
    headers = {"if-match": "x"} if conditional else {}
    operation = Operation(named("document.read"), "GET", "db", collection, key, headers=headers)
    return ReadToCompare(operation, Outcome(200), (f"db/{collection}",), 0.0, "r", reversed_, Shape("s", "s"))


def keys(groups: list[list[ReadToCompare]]) -> list[list[str | None]]:
    return [[job.operation.key for job in group] for group in groups]


def test_reads_of_one_collection_go_together_once_the_oldest_has_waited() -> None:
    gathering = Batcher()
    assert gathering.due() is None
    gathering.add(read("a"), 0.0)
    gathering.add(read("b", "other"), 0.001)
    gathering.add(read("c"), 0.019)

    assert gathering.due() == WAIT
    assert gathering.take(0.019) == []
    assert keys(gathering.take(0.02)) == [["a", "c"]]
    assert gathering.due() == 0.001 + WAIT
    assert keys(gathering.take(1.0)) == [["b"]]
    assert gathering.due() is None


def test_what_is_looked_at_by_itself_waits_as_long() -> None:
    gathering = Batcher()
    gathering.add(read("a", conditional=True), 0.0)
    gathering.add(read("b", reversed_=True), 0.005)

    assert keys(gathering.take(0.02)) == [["a"]]
    assert keys(gathering.take(0.026)) == [["b"]]


def test_what_is_left_is_given_back_once() -> None:
    gathering = Batcher()
    gathering.add(read("a"), 0.0)
    gathering.add(read("b", conditional=True), 0.0)

    assert {job.operation.key for job in gathering.left()} == {"a", "b"}
    assert gathering.left() == []
    assert gathering.due() is None


arrivals = st.lists(st.tuples(st.floats(0, 0.01), st.sampled_from("cde"), st.booleans()), max_size=120)


@given(arrivals)
def test_every_read_is_taken_once_in_order_and_in_time(steps: list[tuple[float, str, bool]]) -> None:
    """I2: whatever comes, nothing is kept forever, groups are bounded, and a driver that asks `due` is never late."""
    gathering, now = Batcher(), 0.0
    came: dict[str, float] = {}
    taken: dict[str, list[int]] = {}

    def take(moment: float) -> None:
        for group in gathering.take(moment):
            assert len(group) <= TOGETHER
            assert len({job.operation.qualified for job in group}) == 1
            assert len(group) == 1 or not any(job.operation.headers for job in group)
            assert came[group[0].operation.key or ""] + WAIT <= moment
            for job in group:
                line = f"{job.operation.collection}{bool(job.operation.headers)}"
                taken.setdefault(line, []).append(int(job.operation.key or ""))

    for number, (step, collection, alone) in enumerate(steps):
        now += step
        while (due := gathering.due()) is not None and due <= now:
            take(due)
        came[str(number)] = now
        gathering.add(read(str(number), collection, conditional=alone), now)
    while (due := gathering.due()) is not None:
        assert due <= now + WAIT
        take(due)

    assert sorted(number for line in taken.values() for number in line) == list(range(len(steps)))
    assert all(line == sorted(line) for line in taken.values())
