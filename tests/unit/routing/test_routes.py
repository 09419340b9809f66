"""Where each kind of request goes, by stage and phase: cases are data (DESIGN section 9, I10)."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from proxy.model.operations import Operation
from proxy.model.stages import Move, Phase, Snapshot, Stage, Standing, allowed, phases
from proxy.routing.routes import FORWARD, Action, QueryFacts, Route, captured_only, may_write, route, share
from proxy.wire.endpoints import named

OFF, MIRROR, SHADOW = (Standing(stage) for stage in (Stage.OFF, Stage.MIRROR, Stage.SHADOW))
FLIPPED = Standing(Stage.FLIPPED, 100)


def snapshot(phase: Phase = Phase.SETTLED, moves: dict[str, Move] | None = None, **standings: Standing) -> Snapshot:
    return Snapshot(1, 1, phase, {f"shop/{name}": s for name, s in standings.items()}, {}, moves or {})


def read(collection: str = "books", key: str = "k", **headers: str) -> Operation:
    return Operation(named("document.read"), "GET", "shop", collection, key, headers=headers)


def write(collection: str = "books", headers: dict[str, str] | None = None) -> Operation:
    return Operation(named("document.insert"), "POST", "shop", collection, headers=headers or {})


def query(body: bytes = b"q", headers: dict[str, str] | None = None) -> Operation:
    return Operation(named("cursor.create"), "POST", "shop", headers=headers or {}, body=body)


def facts(reads: str = "books", writes: str = "", *, deterministic: bool = True) -> QueryFacts:
    return QueryFacts(frozenset(reads.split()), frozenset(writes.split()), bool(writes), deterministic)


@pytest.mark.parametrize(
    ("standing", "expected"),
    [
        (OFF, FORWARD),
        (MIRROR, FORWARD),
        (SHADOW, Route(Action.READ, ("shop/books",), compare=True)),
        (FLIPPED, Route(Action.READ, ("shop/books",), target=True, compare=True)),
        (
            Standing(Stage.FLIPPED, 0),
            Route(Action.READ, ("shop/books",), target=False, compare=True),
        ),
    ],
)
def test_a_read_of_a_document_goes_by_its_collections_stage(standing: Standing, expected: Route) -> None:
    assert route(read(), snapshot(books=standing)) == expected


@pytest.mark.parametrize(
    ("standing", "expected"),
    [
        (OFF, Route(Action.FORWARD, writes=("shop/books",))),
        (MIRROR, Route(Action.CAPTURE, ("shop/books",))),
        (SHADOW, Route(Action.CAPTURE, ("shop/books",))),
        (FLIPPED, Route(Action.CAPTURE, ("shop/books",))),
    ],
)
def test_a_write_is_captured_from_stage_mirror_on(standing: Standing, expected: Route) -> None:
    assert route(write(), snapshot(books=standing)) == expected


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


def test_reads_in_a_transaction_or_dirty_go_to_the_origin_and_are_counted() -> None:
    for name, value in (("x-arango-trx-id", "7"), ("x-arango-allow-dirty-read", "true")):
        taken = route(read(**{name: value}), snapshot(books=FLIPPED))
        assert not taken.target
        assert not taken.compare
        assert taken.gap


def test_a_write_that_allows_dirty_reads_is_captured_like_any_other() -> None:
    """ArangoDB passes over that header where something is written."""
    dirty = {"x-arango-allow-dirty-read": "true"}
    assert route(write(headers=dirty), snapshot(books=FLIPPED)).action is Action.CAPTURE
    assert route(query(headers=dirty), snapshot(books=FLIPPED), facts("books", "books")).action is Action.CAPTURE
    truncate = Operation(named("collection.truncate"), "PUT", "shop", "books", None, headers=dirty)
    assert route(truncate, snapshot(books=FLIPPED)).action is Action.CAPTURE


def test_a_rename_to_the_name_that_it_has_changes_nothing() -> None:
    rename = Operation(named("collection.rename"), "PUT", "shop", "books", body=b'{"name":"books"}')
    assert route(rename, snapshot(books=FLIPPED)) == FORWARD


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
    assert not route(query(), snapshot(books=Standing(Stage.FLIPPED, 99)), pages).target


def test_a_modification_is_captured_and_an_unparsed_one_marks_the_whole_database() -> None:
    taken = route(query(), snapshot(books=MIRROR), facts("books", "books"))
    assert (taken.action, taken.collections) == (Action.CAPTURE, ("shop/books",))
    unparsed = route(query(), snapshot(books=MIRROR), None)
    assert (unparsed.action, unparsed.collections) == (Action.OPAQUE, ("shop/*",))
    assert route(query(), snapshot(books=OFF), None) == Route(Action.FORWARD, writes=("shop/*",))


@pytest.mark.parametrize("phase", [Phase.HOLD, Phase.DRAIN])
def test_queries_wait_while_a_flip_holds_and_writes_are_synchronous_from_begin_on(phase: Phase) -> None:
    """mirror-protocol, "Flip", 2 and 3."""
    move = {"shop/books": Move("shop/books", SHADOW, FLIPPED)}
    assert route(query(), snapshot(phase, move, books=SHADOW), facts()).hold
    begin = snapshot(Phase.BEGIN, move, books=SHADOW)
    assert not route(query(), begin, facts()).hold
    assert begin.behaviour("shop/books").synchronous
    assert not route(read(), begin).target


def test_capture_starts_with_begin_of_mirror() -> None:
    """mirror-protocol, answer 11: a write sent in `off` is missed by a backfill that began early."""
    move = {"shop/books": Move("shop/books", OFF, MIRROR)}
    assert route(write(), snapshot(Phase.BEGIN, move, books=OFF)).action is Action.CAPTURE


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
    """mirror-protocol, answer 6. Of a rename the new name counts where the default stage mirrors it."""
    taken = route(operation, snapshot(books=MIRROR))
    assert (taken.action, taken.collections) == (Action.CAPTURE, collections)
    assert route(operation, snapshot(books=OFF)) == Route(Action.FORWARD, writes=may_write(operation))
    late = msgspec.structs.replace(operation, headers={"x-arango-async": "store"})
    assert route(late, snapshot(books=MIRROR)).action is Action.OPAQUE


def test_a_body_that_is_no_utf_8_may_be_about_any_collection() -> None:
    bad = b'{"name":"\xff","collection":"\xff"}'
    for endpoint in ("collection.create", "simple.update-by-example"):
        assert may_write(Operation(named(endpoint), "POST", "shop", path=("_api", "x"), body=bad)) == ("shop/*",)


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
    assert route(msgspec.structs.replace(ttl, body=b'{"type":"hash"}'), snapshot(books=MIRROR)).action is Action.FORWARD


def test_new_collections_inherit_the_default_stage_of_their_database() -> None:
    inherited = Snapshot(defaults={"shop": Stage.MIRROR, "*": Stage.OFF})
    assert route(write("unheard-of"), inherited).action is Action.CAPTURE
    assert captured_only(inherited, ("shop/*", "other/*")) == ("shop/*",)


def test_the_share_is_sticky_and_grows_with_the_weight() -> None:
    keys = [f"key{n}".encode() for n in range(2000)]
    tenth = {key for key in keys if share(key, 10)}
    half = {key for key in keys if share(key, 50)}
    assert tenth < half
    assert 100 < len(tenth) < 300
    assert all(share(key, 100) for key in keys)
    assert not any(share(key, 0) for key in keys)


@pytest.mark.parametrize(
    ("before", "after", "steps"),
    [
        (OFF, MIRROR, (Phase.BEGIN,)),
        (MIRROR, SHADOW, (Phase.BEGIN,)),
        (SHADOW, FLIPPED, (Phase.BEGIN, Phase.HOLD, Phase.DRAIN)),
        (Standing(Stage.FLIPPED, 10), FLIPPED, (Phase.BEGIN, Phase.HOLD, Phase.DRAIN)),
        (FLIPPED, Standing(Stage.FLIPPED, 10), ()),
        (FLIPPED, SHADOW, ()),
        (SHADOW, OFF, ()),
    ],
)
def test_ways_forward_have_phases_and_ways_back_are_immediate(
    before: Standing, after: Standing, steps: tuple[Phase, ...]
) -> None:
    assert phases(before, after) == steps


def test_stages_are_not_skipped() -> None:
    assert allowed(OFF, MIRROR) is None
    assert allowed(FLIPPED, OFF) is None
    assert "goes to mirror first" in str(allowed(OFF, SHADOW))
    assert "1 to 100" in str(allowed(SHADOW, Standing(Stage.FLIPPED, 0)))
    assert "not built" in str(allowed(FLIPPED, Standing(Stage.PROMOTED, 100)))


EDGES = Operation(named("edges.read"), "GET", "shop", "knows", params={"vertex": "v/1"})
SIMPLE = Operation(named("simple.all"), "PUT", "shop", body=b'{"collection":"knows"}')
VERTEX = Operation(named("gharial.vertex_read"), "GET", "shop", "knows", "a")


@pytest.mark.parametrize("operation", [EDGES, SIMPLE, VERTEX])
def test_reads_by_other_endpoints_go_the_ways_of_documents_and_queries(operation: Operation) -> None:
    def at(standing: Standing, graphs: Standing = OFF) -> Snapshot:
        return Snapshot(collections={"shop/knows": standing, "shop/_graphs": graphs})

    assert route(operation, at(MIRROR)) == FORWARD
    shadowed = route(operation, at(SHADOW))
    assert (shadowed.action, shadowed.collections, shadowed.target, shadowed.compare) == (
        Action.READ,
        ("shop/knows",),
        False,
        True,
    )
    flipped = route(operation, at(FLIPPED))
    assert at(FLIPPED).behaviour("shop/knows").synchronous
    # whether a graph has the document, PostgreSQL knows where definitions are flipped as well
    assert flipped.target == (operation is not VERTEX)
    assert route(operation, at(FLIPPED, FLIPPED)).target


@pytest.mark.parametrize("operation", [EDGES, SIMPLE, VERTEX])
def test_reads_over_a_collection_wait_for_a_flip_that_is_held(operation: Operation) -> None:
    """mirror-protocol, "Flip", 3: as queries do; one document is brought up to date instead."""
    moves = {"shop/knows": Move("shop/knows", SHADOW, FLIPPED)}
    holding = Snapshot(collections={"shop/knows": SHADOW}, phase=Phase.HOLD, moves=moves)
    assert route(operation, holding).hold == (operation is not VERTEX)
    assert holding.behaviour("shop/knows").synchronous


def test_reads_by_other_endpoints_that_cannot_be_compared_say_why() -> None:
    inside = Operation(named("edges.read"), "GET", "shop", "knows", headers={"x-arango-trx-id": "1"}, params={})
    found = route(inside, Snapshot(collections={"shop/knows": FLIPPED}))
    assert (found.target, found.compare, found.gap) == (False, False, "in a transaction")
    by_id = Operation(named("simple.all"), "PUT", "shop", body=b'{"collection":"12345"}')
    assert route(by_id, Snapshot(collections={"shop/knows": FLIPPED})) == FORWARD
    near = Operation(named("simple.near"), "PUT", "shop", body=b'{"collection":"knows"}')
    assert route(near, Snapshot()).gap == "not compared"
