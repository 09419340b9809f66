"""Collections that a request may write, and those of them that are captured."""

from __future__ import annotations

from proxy.model.operations import Operation
from proxy.model.stages import CollectionState, Snapshot, Stage
from proxy.routing.route import Action
from proxy.routing.routes import route
from proxy.routing.scope import captured_only, may_write
from proxy.wire.endpoints import named
from tests.unit.routing.fixtures import write


def test_a_body_that_is_no_utf_8_may_be_about_any_collection() -> None:
    bad = b'{"name":"\xff","collection":"\xff"}'
    for endpoint in ("collection.create", "simple.update-by-example"):
        assert may_write(Operation(named(endpoint), "POST", "shop", path=("_api", "x"), body=bad)) == ("shop/*",)


def test_new_collections_inherit_the_default_stage_of_their_database() -> None:
    inherited = Snapshot(defaults={"shop": Stage.MIRROR, "*": Stage.OFF})
    assert route(write("unheard-of"), inherited).action is Action.CAPTURE
    assert captured_only(inherited, ("shop/*", "other/*")) == ("shop/*",)


def test_what_may_be_any_collection_is_none_of_the_promoted_ones() -> None:
    states = {"shop/own": CollectionState(Stage.PROMOTED, 100), "shop/b": CollectionState(Stage.MIRROR)}
    for default in (Stage.OFF, Stage.PROMOTED):
        assert captured_only(Snapshot(collections=states, defaults={"shop": default}), ("shop/*",)) == ("shop/b",)
    # collections that nobody knows yet may have been written too
    mirrored = Snapshot(collections=states, defaults={"shop": Stage.MIRROR})
    assert captured_only(mirrored, ("shop/*",)) == ("shop/*",)
