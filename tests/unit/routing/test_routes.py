"""The route of a read of documents, by stage and phase: cases are data (DESIGN section 9)."""

from __future__ import annotations

import pytest

from proxy.model.operations import Operation
from proxy.model.stages import CollectionState, Phase, Snapshot, Stage, Transition
from proxy.routing.route import FORWARD, Action, Route
from proxy.routing.routes import route
from proxy.wire.endpoints import named
from tests.unit.routing.fixtures import FLIPPED, MIRROR, OFF, SHADOW, read, snapshot


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (OFF, FORWARD),
        (MIRROR, FORWARD),
        (SHADOW, Route(Action.READ, ("shop/books",), compare=True)),
        (FLIPPED, Route(Action.READ, ("shop/books",), target=True, compare=True)),
        (
            CollectionState(Stage.FLIPPED, 0),
            Route(Action.READ, ("shop/books",), target=False, compare=True),
        ),
    ],
)
def test_a_read_of_a_document_goes_by_its_collections_stage(state: CollectionState, expected: Route) -> None:
    assert route(read(), snapshot(books=state)) == expected


def test_reads_in_a_transaction_or_dirty_go_to_the_origin_and_are_counted() -> None:
    for name, value in (("x-arango-trx-id", "7"), ("x-arango-allow-dirty-read", "true")):
        taken = route(read(**{name: value}), snapshot(books=FLIPPED))
        assert not taken.target
        assert not taken.compare
        assert taken.gap


EDGES = Operation(named("edges.read"), "GET", "shop", "knows", params={"vertex": "v/1"})
SIMPLE = Operation(named("simple.all"), "PUT", "shop", body=b'{"collection":"knows"}')
VERTEX = Operation(named("gharial.vertex_read"), "GET", "shop", "knows", "a")


@pytest.mark.parametrize("operation", [EDGES, SIMPLE, VERTEX])
def test_reads_by_other_endpoints_go_the_ways_of_documents_and_queries(operation: Operation) -> None:
    def at(state: CollectionState, graphs: CollectionState = OFF) -> Snapshot:
        return Snapshot(collections={"shop/knows": state, "shop/_graphs": graphs})

    assert route(operation, at(MIRROR)) == FORWARD
    shadowed = route(operation, at(SHADOW))
    assert (shadowed.action, shadowed.collections, shadowed.target, shadowed.compare) == (
        Action.READ,
        ("shop/knows",),
        False,
        True,
    )
    flipped = route(operation, at(FLIPPED))
    assert at(FLIPPED).policy("shop/knows").synchronous
    # whether a graph has the document, PostgreSQL knows where definitions are flipped as well
    assert flipped.target == (operation is not VERTEX)
    assert route(operation, at(FLIPPED, FLIPPED)).target


@pytest.mark.parametrize("operation", [EDGES, SIMPLE, VERTEX])
def test_reads_over_a_collection_wait_for_a_flip_that_is_held(operation: Operation) -> None:
    """mirror-protocol, "Flip", 3: as queries do; one document is brought up to date instead."""
    transitions = {"shop/knows": Transition("shop/knows", SHADOW, FLIPPED)}
    holding = Snapshot(collections={"shop/knows": SHADOW}, phase=Phase.HOLD, transitions=transitions)
    assert route(operation, holding).hold == (operation is not VERTEX)
    assert holding.policy("shop/knows").synchronous


def test_reads_by_other_endpoints_that_cannot_be_compared_say_why() -> None:
    inside = Operation(named("edges.read"), "GET", "shop", "knows", headers={"x-arango-trx-id": "1"}, params={})
    found = route(inside, Snapshot(collections={"shop/knows": FLIPPED}))
    assert (found.target, found.compare, found.gap) == (False, False, "in a transaction")
    by_id = Operation(named("simple.all"), "PUT", "shop", body=b'{"collection":"12345"}')
    assert route(by_id, Snapshot(collections={"shop/knows": FLIPPED})) == FORWARD
    near = Operation(named("simple.near"), "PUT", "shop", body=b'{"collection":"knows"}')
    assert route(near, Snapshot()).gap == "not compared"
