"""The route of a write, by stage and phase: cases are data (I10)."""

from __future__ import annotations

import msgspec
import pytest

from proxy.model.operations import Operation
from proxy.model.stages import CollectionState, Phase, Transition
from proxy.routing.route import FORWARD, Action, Route
from proxy.routing.routes import route
from proxy.routing.scope import may_write
from proxy.wire.endpoints import named
from tests.unit.routing.fixtures import FLIPPED, MIRROR, OFF, SHADOW, facts, query, snapshot, write


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (OFF, Route(Action.FORWARD, writes=("shop/books",))),
        (MIRROR, Route(Action.CAPTURE, ("shop/books",))),
        (SHADOW, Route(Action.CAPTURE, ("shop/books",))),
        (FLIPPED, Route(Action.CAPTURE, ("shop/books",))),
    ],
)
def test_a_write_is_captured_from_stage_mirror_on(state: CollectionState, expected: Route) -> None:
    assert route(write(), snapshot(books=state)) == expected


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"x-arango-trx-id": "7", "x-arango-async": "true"}, "async job"),
        ({"x-arango-async": "store"}, "async job"),
        ({"content-encoding": "gzip"}, "content encoding"),
    ],
)
def test_what_cannot_be_captured_is_opaque_by_name(headers: dict[str, str], reason: str) -> None:
    """I10: no silent gap."""
    taken = route(write(headers=headers), snapshot(books=MIRROR))
    assert (taken.action, taken.collections, taken.gap) == (Action.OPAQUE, ("shop/books",), reason)
    assert route(write(headers=headers), snapshot(books=OFF)).action is Action.FORWARD


@pytest.mark.parametrize("headers", [{}, {"x-arango-trx-id": "7"}])
def test_a_write_whose_body_cannot_be_read_is_captured_by_its_answer(headers: dict[str, str]) -> None:
    packed = {"content-type": "application/x-velocypack", **headers}
    assert route(write(headers=packed), snapshot(books=MIRROR)).action is Action.CAPTURE


def test_a_write_to_a_number_that_nobody_could_name_may_be_to_any_collection() -> None:
    """I10: the number's collection may be a mirrored one."""
    taken = route(write("12345"), snapshot(books=MIRROR))
    assert (taken.action, taken.collections) == (Action.OPAQUE, ("shop/*",))
    assert route(write("12345"), snapshot(books=OFF)).action is Action.FORWARD


def test_a_write_that_allows_dirty_reads_is_captured_like_any_other() -> None:
    """ArangoDB ignores that header in writes."""
    dirty = {"x-arango-allow-dirty-read": "true"}
    assert route(write(headers=dirty), snapshot(books=FLIPPED)).action is Action.CAPTURE
    assert route(query(headers=dirty), snapshot(books=FLIPPED), facts("books", "books")).action is Action.CAPTURE
    truncate = Operation(named("collection.truncate"), "PUT", "shop", "books", None, headers=dirty)
    assert route(truncate, snapshot(books=FLIPPED)).action is Action.CAPTURE


def test_a_rename_to_the_name_that_it_has_changes_nothing() -> None:
    rename = Operation(named("collection.rename"), "PUT", "shop", "books", body=b'{"name":"books"}')
    assert route(rename, snapshot(books=FLIPPED)) == FORWARD


def test_capture_starts_with_begin_of_mirror() -> None:
    """mirror-protocol, answer 11: a write sent in `off` is missed by a backfill that began early."""
    transition = {"shop/books": Transition("shop/books", OFF, MIRROR)}
    assert route(write(), snapshot(Phase.BEGIN, transition, books=OFF)).action is Action.CAPTURE


@pytest.mark.parametrize(
    ("operation", "collections"),
    [
        (Operation(named("batch"), "POST", "shop"), ("shop/*",)),
        (Operation(named("unknown"), "POST", "shop"), ("shop/*",)),
    ],
)
def test_opaque_endpoints_mark_what_they_may_touch(operation: Operation, collections: tuple[str, ...]) -> None:
    taken = route(operation, snapshot(books=MIRROR))
    assert (taken.action, taken.collections) == (Action.OPAQUE, collections)
    assert may_write(operation) == collections
    assert route(operation, snapshot(books=OFF)) == Route(Action.FORWARD, writes=collections)


@pytest.mark.parametrize(
    ("operation", "collections"),
    [
        (Operation(named("collection.truncate"), "PUT", "shop", "books"), ("shop/books",)),
        (Operation(named("collection.truncate"), "PUT", "shop", "4711"), ("shop/*",)),
        (Operation(named("collection.drop"), "DELETE", "shop", "books"), ("shop/books",)),
        (
            Operation(named("collection.rename"), "PUT", "shop", "books", body=b'{"name":"tomes"}'),
            ("shop/books",),
        ),
        (Operation(named("collection.create"), "POST", "shop", body=b'{"name":"books"}'), ("shop/books",)),
        (Operation(named("collection.create"), "POST", "shop", body=b"{"), ("shop/*",)),
        (Operation(named("import"), "POST", "shop", "books"), ("shop/books",)),
        (Operation(named("database.drop"), "DELETE", path=("_api", "database", "shop")), ("shop/*",)),
    ],
)
def test_changes_of_whole_collections_and_imports_are_captured(
    operation: Operation, collections: tuple[str, ...]
) -> None:
    """mirror-protocol, answer 6. Of a rename the new name counts if the default stage mirrors it."""
    taken = route(operation, snapshot(books=MIRROR))
    assert (taken.action, taken.collections) == (Action.CAPTURE, collections)
    assert route(operation, snapshot(books=OFF)) == Route(Action.FORWARD, writes=may_write(operation))
    late = msgspec.structs.replace(operation, headers={"x-arango-async": "store"})
    assert route(late, snapshot(books=MIRROR)).action is Action.OPAQUE


def test_writes_in_a_transaction_are_captured_as_far_as_arangodb_runs_them_there() -> None:
    headers = {"x-arango-trx-id": "7"}
    assert route(write(headers=headers), snapshot(books=MIRROR)).action is Action.CAPTURE
    truncate = Operation(named("collection.truncate"), "PUT", "shop", "books", headers=headers)
    assert route(truncate, snapshot(books=MIRROR)).action is Action.CAPTURE
    drop = msgspec.structs.replace(truncate, endpoint=named("collection.drop"))
    assert route(drop, snapshot(books=MIRROR)).gap == "collection.drop: in a transaction"
    begin = Operation(named("transaction.begin"), "POST", "shop")
    assert route(begin, snapshot(books=MIRROR)).collections == ("shop/*",)
    assert route(begin, snapshot(books=OFF)).action is Action.FORWARD


def test_an_index_by_which_documents_expire_is_opaque() -> None:
    ttl = Operation(named("index.create"), "POST", "shop", "books", body=b'{"type":"ttl"}')
    assert route(ttl, snapshot(books=MIRROR)).collections == ("shop/books",)
    for unreadable in (b"", b'{"type":7}', b"\xff"):  # perhaps a stream: ArangoDB's answer decides
        assert route(msgspec.structs.replace(ttl, body=unreadable), snapshot(books=MIRROR)).action is Action.OPAQUE
    for body in (b'{"type":"hash"}', b'{"type":"persistent","fields":["ttl"],"name":"ttl"}', b'{"fields":["ttl"]}'):
        assert route(msgspec.structs.replace(ttl, body=body), snapshot(books=MIRROR)).action is Action.FORWARD
