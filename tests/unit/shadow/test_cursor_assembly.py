"""Cursors in several batches: gathered, merged, bounded."""

from __future__ import annotations

import orjson
import pytest

from proxy.model.operations import Operation, Outcome
from proxy.routing.query_shapes import Shape
from proxy.shadow import cursor_assembly as module
from proxy.shadow.cursor_assembly import CursorAssembler, cursor_to_follow, merged
from proxy.shadow.jobs import ReadToCompare
from proxy.wire.endpoints import named

QUERY = Operation(named("cursor.create"), "POST", "db", body=b'{"query":"RETURN 1"}')


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def batch(*rows: int, more: bool = True, status: int = 201, **extra: object) -> Outcome:
    return Outcome(status, orjson.dumps({"id": "7", "result": rows, "hasMore": more, **extra}, option=0))


def job(outcome: Outcome) -> ReadToCompare:
    return ReadToCompare(QUERY, outcome, ("db/c",), 0.0, "r", False, Shape("q", "q"))


def following(clock: Clock | None = None) -> tuple[CursorAssembler, list[ReadToCompare]]:
    ready: list[ReadToCompare] = []
    return CursorAssembler(ready.append, clock or Clock()), ready


def going_on(cursor: str = "7", number: str = "", endpoint: str = "cursor.next") -> Operation:
    path = ("_api", "cursor", cursor, *([number] if number else []))
    return Operation(named(endpoint), "POST", "db", path=path)


def test_only_a_first_batch_of_several_goes_on() -> None:
    assert cursor_to_follow(QUERY, batch(1)) == "7"
    assert cursor_to_follow(QUERY, batch(1, more=False)) is None
    assert cursor_to_follow(QUERY, Outcome(404, b'{"hasMore":true}')) is None
    assert cursor_to_follow(QUERY, Outcome(201, b'["hasMore":true')) is None
    assert cursor_to_follow(Operation(named("document.read"), "GET"), batch(1)) is None


def test_batches_become_one_answer() -> None:
    whole = merged([batch(1, 2, count=5, extra={"stats": {"fullCount": 9}}), batch(), batch(3, 4, 5, more=False)])

    assert orjson.loads(whole.body) == {
        "result": [1, 2, 3, 4, 5],
        "count": 5,
        "extra": {"stats": {"fullCount": 9}},
    }


def test_a_cursor_is_ready_when_its_last_batch_has_gone_by() -> None:
    cursors, ready = following()
    cursors.begin("7", job(batch(1)))
    assert cursors.follows(going_on())
    assert not cursors.follows(going_on("8"))

    cursors.continued(going_on(number="2"), batch(2, status=200))
    cursors.continued(going_on(number="2"), batch(2, status=200))  # its answer had been lost
    assert ready == []
    cursors.continued(going_on(number="3"), batch(3, more=False, status=200))

    assert orjson.loads(ready[0].outcome.body)["result"] == [1, 2, 3]
    assert len(cursors) == 0
    cursors.continued(going_on(), batch(4))  # nobody follows it any more
    assert len(ready) == 1


@pytest.mark.parametrize(
    ("operation", "outcome"),
    [
        (going_on(endpoint="cursor.delete"), Outcome(202, b"{}")),
        (going_on(), None),
        (going_on(), Outcome(200, b"no JSON")),
    ],
)
def test_a_cursor_that_ends_early_is_the_beginning_that_was_read(operation: Operation, outcome: Outcome | None) -> None:
    cursors, ready = following()
    cursors.begin("7", job(batch(1)))
    cursors.continued(operation, outcome)

    assert orjson.loads(ready[0].outcome.body)["hasMore"] is True


def test_cursors_that_nobody_reads_expire() -> None:
    clock = Clock()
    cursors, ready = following(clock)
    cursors.begin("7", job(batch(1)))
    clock.now = 59.0
    cursors.expire()
    assert ready == []
    clock.now = 61.0
    cursors.expire()
    assert len(ready) == 1


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_OPEN", 2)
    cursors, ready = following()
    for number in range(4):
        cursors.begin(str(number), job(batch(number)))
    assert [orjson.loads(one.outcome.body)["result"] for one in ready] == [[0], [1]]
    monkeypatch.setattr(module, "MAX_BYTES", 10)
    cursors.continued(going_on("3"), batch(9, status=200))
    assert len(ready) == 3
    cursors.begin("9", job(batch(9)))
    assert len(cursors) == 0


def test_batches_that_do_not_fit_together_stay_a_beginning() -> None:
    cursors, ready = following()
    cursors.begin("7", job(Outcome(201, b'{"id":"7","hasMore":true}')))
    cursors.continued(going_on(), batch(2, more=False, status=200))
    assert ready[0].outcome.body == b'{"id":"7","hasMore":true}'


def test_what_is_refused_says_nothing_of_a_cursor() -> None:
    """Another user may have asked, or deleted; its owner continues to read."""
    cursors, ready = following()
    cursors.begin("7", job(batch(1)))
    cursors.continued(going_on(), Outcome(404, b'{"error":true,"errorNum":1600}'))
    cursors.continued(going_on(), Outcome(401, b""))
    assert ready == []
    cursors.continued(going_on(), batch(2, more=False, status=200))
    assert orjson.loads(ready[0].outcome.body)["result"] == [1, 2]
