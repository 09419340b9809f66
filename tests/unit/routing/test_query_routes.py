"""The route of a query, by the stages and phases of all that it reads or writes (DESIGN section 9)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.model.stages import CollectionState, Phase, Stage, Transition
from proxy.routing.route import FORWARD, Action, Route
from proxy.routing.routes import route
from tests.unit.routing.fixtures import FLIPPED, MIRROR, OFF, SHADOW, facts, query, read, snapshot


def test_a_query_is_served_by_the_target_only_if_every_collection_is_flipped() -> None:
    both = facts("books authors")
    assert route(query(), snapshot(books=FLIPPED, authors=FLIPPED), both).target
    assert not route(query(), snapshot(books=FLIPPED, authors=SHADOW), both).target
    assert route(query(), snapshot(books=FLIPPED, authors=SHADOW), both).compare
    half = route(query(), snapshot(books=FLIPPED, authors=MIRROR), both)
    assert not half.compare
    assert half.gap == "reads a collection that is not in the shadow"


def test_a_query_without_a_collection_or_undetermined_goes_to_the_origin() -> None:
    assert route(query(), snapshot(books=FLIPPED), facts("")) == FORWARD
    assert not route(query(), snapshot(books=FLIPPED), facts(deterministic=False)).target


def test_pages_without_an_order_all_come_from_one_side() -> None:
    """Any rows would do, but the rows of two pages must not come in two orders."""
    pages = replace(facts(deterministic=False), takes_any=True)
    assert route(query(), snapshot(books=FLIPPED), pages).target
    assert not route(query(), snapshot(books=CollectionState(Stage.FLIPPED, 99)), pages).target


def test_a_modification_is_captured_and_an_unparsed_one_marks_the_whole_database() -> None:
    taken = route(query(), snapshot(books=MIRROR), facts("books", "books"))
    assert (taken.action, taken.collections) == (Action.CAPTURE, ("shop/books",))
    unparsed = route(query(), snapshot(books=MIRROR), None)
    assert (unparsed.action, unparsed.collections) == (Action.OPAQUE, ("shop/*",))
    assert route(query(), snapshot(books=OFF), None) == Route(Action.FORWARD, writes=("shop/*",))


@pytest.mark.parametrize("phase", [Phase.HOLD, Phase.DRAIN])
def test_queries_wait_while_a_flip_holds_and_writes_are_synchronous_from_begin_on(phase: Phase) -> None:
    """mirror-protocol, "Flip", 2 and 3."""
    transition = {"shop/books": Transition("shop/books", SHADOW, FLIPPED)}
    assert route(query(), snapshot(phase, transition, books=SHADOW), facts()).hold
    begin = snapshot(Phase.BEGIN, transition, books=SHADOW)
    assert not route(query(), begin, facts()).hold
    assert begin.policy("shop/books").synchronous
    assert not route(read(), begin).target
