"""Routes as an instance finds them: bodies that stream, requests that can be sent twice, and the wait for a flip."""

from __future__ import annotations

from typing import cast

from proxy.gateway.request_body import TOO_LARGE
from proxy.gateway.router import Router, streamed_route
from proxy.model.lease_view import LeaseView
from proxy.model.operations import Operation
from proxy.model.stages import CollectionState, Phase, Snapshot, Stage, Transition
from proxy.routing.query_facts import QueryFactsCache
from proxy.routing.route import FORWARD, Action, Route
from proxy.wire.endpoints import named

SHADOW, FLIPPED = CollectionState(Stage.SHADOW), CollectionState(Stage.FLIPPED, 100)
BOOKS = "shop/books"
READ = Operation(named("document.read"), "GET", "shop", "books", "a")
WRITE = Operation(named("document.insert"), "POST", "shop", "books")


class Lease:
    """A lease as routing sees it: a snapshot, which may change while a request waits."""

    own_lease_expired = False

    def __init__(self, *snapshots: Snapshot) -> None:
        self._left = list(snapshots)

    @property
    def snapshot(self) -> Snapshot:
        return self._left.pop(0) if len(self._left) > 1 else self._left[0]


def router(*snapshots: Snapshot, wrote: bool = False, seconds: float = 60.0) -> Router:
    return Router(QueryFactsCache(), cast("LeaseView", Lease(*snapshots)), lambda _: wrote, seconds)


def query(text: str) -> Operation:
    return Operation(named("cursor.create"), "POST", "shop", body=b'{"query":"%s"}' % text.encode())


def test_a_body_that_streams_is_neither_captured_nor_compared() -> None:
    """I10: what it may have written becomes unverified."""
    flipped = Snapshot(collections={BOOKS: FLIPPED})
    assert streamed_route(WRITE, flipped) == Route(Action.OPAQUE, (BOOKS,), gap=f"document.insert: {TOO_LARGE}")
    assert streamed_route(READ, flipped) == Route(Action.READ, (BOOKS,), gap=TOO_LARGE)
    assert streamed_route(READ, Snapshot()) == FORWARD


def test_a_read_in_a_transaction_that_wrote_is_not_compared() -> None:
    shadow = Snapshot(collections={BOOKS: SHADOW})
    inside = Operation(READ.endpoint, "GET", "shop", "books", "a", headers={"x-arango-trx-id": "1"})
    assert router(shadow).route(inside, shadow).compare
    assert not router(shadow, wrote=True).route(inside, shadow).compare


def test_what_can_be_sent_twice_changes_nothing() -> None:
    asked = router(Snapshot())
    assert asked.repeatable(READ)
    assert asked.repeatable(Operation(named("edges.read"), "GET", "shop", "knows"))
    assert asked.repeatable(query("FOR b IN books RETURN b"))
    assert not asked.repeatable(query("REMOVE 'a' IN books"))
    assert not asked.repeatable(query("REMOVE"))
    assert not asked.repeatable(WRITE)
    assert not asked.repeatable(Operation(named("cursor.next"), "POST", "shop"))


async def test_a_query_waits_until_the_flip_is_decided_or_its_time_is_over() -> None:
    transition = {BOOKS: Transition(BOOKS, SHADOW, FLIPPED)}
    held = Snapshot(7, 1, Phase.HOLD, {BOOKS: SHADOW}, transitions=transition)
    decided = Snapshot(8, 1, Phase.IDLE, {BOOKS: FLIPPED})
    text = query("FOR b IN books SORT b._key RETURN b")
    way, generation = await router(held, held, decided).decided(text)
    assert (way.target, way.hold, generation) == (True, False, 8)
    way, generation = await router(held, seconds=-1.0).decided(text)
    assert (way.target, way.hold, generation) == (False, True, 7)
