"""Who carries out a request while collections are promoted: every family of endpoints, by stage of its collections."""

from __future__ import annotations

import json

import pytest

from proxy.model.endpoint import Family
from proxy.model.operations import Operation
from proxy.model.own_ids import PROMOTED_CURSORS, PROMOTED_JOBS, PROMOTED_TRANSACTIONS
from proxy.model.stages import CollectionState, Phase, Snapshot, Stage, Transition
from proxy.routing.ownership import Owner, ownership
from proxy.routing.query_facts import QueryFactsCache
from proxy.wire.decode import decode_parts
from proxy.wire.endpoints import ROWS
from tests.unit.routing.fixtures import FLIPPED, MIRROR

PROMOTED = CollectionState(Stage.PROMOTED, 100)
UP = {f"shop/{name}": Transition(f"shop/{name}", FLIPPED, PROMOTED) for name in ("rising", "rising2")}
DOWN = {"shop/falling": Transition("shop/falling", PROMOTED, FLIPPED)}
STATES = {
    "own": PROMOTED,
    "own2": PROMOTED,
    "flipped": FLIPPED,
    "half": CollectionState(Stage.FLIPPED, 50),
    "mirrored": MIRROR,
    "rising": FLIPPED,
    "rising2": FLIPPED,
    "falling": PROMOTED,
}
MIXED = Snapshot(7, 3, Phase.HOLD, {f"shop/{name}": state for name, state in STATES.items()}, {}, UP | DOWN)
WHOLE = Snapshot(
    7, 3, Phase.IDLE, {"shop/own": PROMOTED, "shop/_graphs": PROMOTED, "other/a": MIRROR}, {"shop": Stage.PROMOTED}
)


def owner(snapshot: Snapshot, method: str, path: str, body: object = None, **headers: str) -> Owner:
    given = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    operation = decode_parts(method, f"/_db/shop/{path}".encode(), given, raw)
    query = None
    if operation.endpoint.family is Family.QUERY:
        query = QueryFactsCache().of_operation(operation)
    return ownership(operation, snapshot, query).owner


def aql(query: str, **binds: object) -> dict[str, object]:
    return {"query": query, "bindVars": binds}


BY_COLLECTION = [
    ("GET", "_api/document/{}/k", None),
    ("HEAD", "_api/document/{}/k", None),
    ("PUT", "_api/document/{}?onlyget=true", ["k"]),
    ("POST", "_api/document/{}", {}),
    ("POST", "_api/document?collection={}", {}),
    ("PUT", "_api/document/{}/k", {}),
    ("PATCH", "_api/document/{}/k", {}),
    ("DELETE", "_api/document/{}/k", None),
    ("DELETE", "_api/document/{}", ["k"]),
    ("POST", "_api/import?collection={}&type=list", []),
    ("GET", "_api/collection/{}", None),
    ("GET", "_api/collection/{}/properties", None),
    ("PUT", "_api/collection/{}/properties", {}),
    ("GET", "_api/collection/{}/count", None),
    ("GET", "_api/collection/{}/checksum", None),
    ("PUT", "_api/collection/{}/truncate", None),
    ("PUT", "_api/collection/{}/loadIndexesIntoMemory", None),
    ("DELETE", "_api/collection/{}", None),
    ("GET", "_api/index?collection={}", None),
    ("POST", "_api/index?collection={}", {"type": "persistent"}),
    ("GET", "_api/index/{}/1", None),
    ("DELETE", "_api/index/{}/1", None),
    ("GET", "_api/edges/{}?vertex=a/1", None),
]


@pytest.mark.parametrize(("method", "path", "body"), BY_COLLECTION)
def test_the_collection_decides(method: str, path: str, body: object) -> None:
    assert owner(MIXED, method, path.format("own"), body) is Owner.OWN
    for other in ("flipped", "half", "mirrored", "unknown"):
        assert owner(MIXED, method, path.format(other), body) is Owner.ORIGIN
    assert owner(WHOLE, method, path.format("new"), body) is Owner.OWN  # by the database's default


@pytest.mark.parametrize(("method", "path", "body"), BY_COLLECTION)
def test_writes_wait_and_reads_do_not(method: str, path: str, body: object) -> None:
    reads = method in ("GET", "HEAD") or "onlyget" in path
    documents = "_api/document" in path or "_api/edges" in path
    rising = owner(MIXED, method, path.format("rising"), body)
    falling = owner(MIXED, method, path.format("falling"), body)
    assert rising is (Owner.FENCED if reads and documents else Owner.WAIT)
    assert falling is (Owner.OWN if reads else Owner.WAIT)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FOR d IN own RETURN d", Owner.OWN),
        ("FOR d IN own FOR e IN own2 RETURN e", Owner.OWN),
        ("FOR d IN own INSERT d INTO own2", Owner.OWN),
        ("FOR d IN flipped RETURN d", Owner.ORIGIN),
        ("FOR d IN own FOR e IN flipped RETURN e", Owner.FENCED),
        ("FOR d IN own FOR e IN half RETURN e", Owner.MIXED),
        ("FOR d IN own FOR e IN mirrored RETURN e", Owner.MIXED),
        ("FOR d IN own INSERT d INTO flipped", Owner.MIXED),
        ("FOR d IN flipped INSERT d INTO own", Owner.MIXED),
        ("FOR d IN rising RETURN d", Owner.FENCED),
        ("FOR d IN rising FOR e IN own RETURN e", Owner.FENCED),
        ("FOR d IN rising FOR e IN mirrored RETURN e", Owner.WAIT),
        ("FOR d IN mirrored INSERT d INTO rising", Owner.WAIT),
        ("FOR d IN falling RETURN d", Owner.OWN),
        ("FOR d IN falling REMOVE d IN falling", Owner.WAIT),
        ("RETURN 1", Owner.ORIGIN),
        ("FOR d IN own RETURN DOCUMENT(d.other)", Owner.WAIT),  # any collection, and some are being moved
        ("FOR d IN", Owner.WAIT),
    ],
)
def test_queries_by_what_they_name(text: str, expected: Owner) -> None:
    assert owner(MIXED, "POST", "_api/cursor", aql(text)) is expected


def test_queries_that_show_less_than_they_read() -> None:
    assert owner(WHOLE, "POST", "_api/cursor", aql("FOR d IN own RETURN DOCUMENT(d.other)")) is Owner.OWN
    assert owner(WHOLE, "POST", "_api/cursor", aql("FOR d IN")) is Owner.OWN  # PostgreSQL says what is wrong
    settled = Snapshot(7, 3, Phase.IDLE, {"shop/own": PROMOTED, "shop/flipped": MIRROR})
    assert owner(settled, "POST", "_api/cursor", aql("FOR d IN own RETURN DOCUMENT(d.other)")) is Owner.MIXED
    assert owner(settled, "POST", "_api/cursor", aql("FOR d IN flipped RETURN DOCUMENT(d.other)")) is Owner.MIXED
    assert owner(settled, "POST", "_api/cursor", aql("INSERT")) is Owner.MIXED


def test_explanations_follow_their_query() -> None:
    assert owner(MIXED, "POST", "_api/explain", aql("FOR d IN own REMOVE d IN own")) is Owner.OWN
    assert owner(MIXED, "POST", "_api/explain", aql("FOR d IN flipped RETURN d")) is Owner.ORIGIN
    assert owner(MIXED, "POST", "_api/explain", aql("FOR d IN falling REMOVE d IN falling")) is Owner.OWN
    assert owner(MIXED, "POST", "_api/explain", aql("FOR d IN rising RETURN d")) is Owner.WAIT


@pytest.mark.parametrize(
    ("name", "reads", "expected"),
    [
        ("own", True, Owner.OWN),
        ("own", False, Owner.OWN),
        ("mirrored", True, Owner.ORIGIN),
        ("rising", True, Owner.FENCED),
        ("rising", False, Owner.WAIT),
        ("falling", True, Owner.OWN),
        ("falling", False, Owner.WAIT),
    ],
)
def test_simple_queries_name_it_in_their_body(name: str, reads: bool, expected: Owner) -> None:
    path = "_api/simple/by-example" if reads else "_api/simple/remove-by-example"
    assert owner(MIXED, "PUT", path, {"collection": name, "example": {}}) is expected


def test_graphs_are_their_definitions_and_all_that_they_may_touch() -> None:
    for method, path in (
        ("GET", "_api/gharial"),
        ("GET", "_api/gharial/g/vertex/own/k"),
        ("POST", "_api/gharial/g/edge/own"),
        ("DELETE", "_api/gharial/g/vertex/own/k"),
        ("POST", "_api/gharial"),
    ):
        assert owner(WHOLE, method, path, {}) is Owner.OWN, path
    settled = Snapshot(7, 3, Phase.IDLE, {"shop/own": PROMOTED, "shop/b": MIRROR})
    assert owner(settled, "GET", "_api/gharial") is Owner.ORIGIN
    assert owner(settled, "GET", "_api/gharial/g/vertex/own/k") is Owner.MIXED
    assert owner(settled, "DELETE", "_api/gharial/g/vertex/b/k") is Owner.MIXED
    every = Snapshot(7, 3, Phase.IDLE, {"shop/own": PROMOTED, "shop/_graphs": PROMOTED})
    assert owner(every, "DELETE", "_api/gharial/g/vertex/own/k") is Owner.OWN
    assert owner(every, "POST", "_api/gharial", {}) is Owner.MIXED  # what it creates would be ArangoDB's


def test_collections_that_do_not_exist_yet() -> None:
    assert owner(MIXED, "POST", "_api/collection", {"name": "new"}) is Owner.ORIGIN
    assert owner(MIXED, "POST", "_api/collection", {"name": "own"}) is Owner.OWN  # it was dropped
    assert owner(WHOLE, "POST", "_api/collection", {"name": "new"}) is Owner.OWN
    assert owner(MIXED, "PUT", "_api/collection/own/rename", {"name": "new"}) is Owner.MIXED
    assert owner(WHOLE, "PUT", "_api/collection/own/rename", {"name": "new"}) is Owner.OWN
    assert owner(MIXED, "PUT", "_api/collection/mirrored/rename", {"name": "new"}) is Owner.ORIGIN
    assert owner(MIXED, "PUT", "_api/collection/rising/rename", {"name": "new"}) is Owner.WAIT


def test_the_list_of_collections_is_that_of_whoever_has_all() -> None:
    assert owner(MIXED, "GET", "_api/collection") is Owner.ORIGIN
    assert owner(WHOLE, "GET", "_api/collection") is Owner.OWN


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ({"write": ["own"], "read": "own2"}, Owner.OWN),
        ({"write": ["flipped"]}, Owner.ORIGIN),
        ({"write": "own", "exclusive": ["flipped"]}, Owner.MIXED),
        ({"read": "own", "write": "rising"}, Owner.WAIT),
        ({"read": "falling"}, Owner.WAIT),
        ({}, Owner.ORIGIN),
    ],
)
def test_a_stream_transaction_by_what_it_declares(declared: object, expected: Owner) -> None:
    assert owner(MIXED, "POST", "_api/transaction/begin", {"collections": declared}) is expected


def test_what_continues_belongs_to_whoever_gave_the_id() -> None:
    for ids, path in (
        (PROMOTED_CURSORS, "_api/cursor/{}"),
        (PROMOTED_TRANSACTIONS, "_api/transaction/{}"),
        (PROMOTED_JOBS, "_api/job/{}"),
    ):
        for method in ("PUT", "DELETE"):
            assert owner(MIXED, method, path.format(ids.make())) is Owner.OWN
            assert owner(MIXED, method, path.format("123456")) is Owner.ORIGIN


@pytest.mark.parametrize("path", ["_api/document/{}/k", "_api/collection/{}/truncate"])
def test_the_parts_of_a_transaction_follow_it(path: str) -> None:
    own = PROMOTED_TRANSACTIONS.make()
    assert owner(MIXED, "PUT", path.format("own"), {}, x_arango_trx_id=own) is Owner.OWN
    assert owner(MIXED, "PUT", path.format("falling"), {}, x_arango_trx_id=own) is Owner.OWN  # the fence refuses it
    assert owner(MIXED, "PUT", path.format("flipped"), {}, x_arango_trx_id=own) is Owner.MIXED
    assert owner(MIXED, "PUT", path.format("own"), {}, x_arango_trx_id="12") is Owner.MIXED
    assert owner(MIXED, "PUT", path.format("falling"), {}, x_arango_trx_id="12") is Owner.MIXED
    # begun before the hold, which waits for its end
    assert owner(MIXED, "PUT", path.format("rising"), {}, x_arango_trx_id="12") is Owner.ORIGIN


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "_api/transaction"),
        ("POST", "_api/batch"),
        ("POST", "_api/tasks"),
        ("POST", "_admin/execute"),
        ("POST", "a/service"),
        ("POST", "_api/view"),
        ("POST", "_api/user"),
        ("PATCH", "_api/user/ann"),
        ("PUT", "_api/user/ann/database/shop"),
        ("PATCH", "_api/never-heard-of"),
    ],
)
def test_what_cannot_be_seen_is_refused_beside_promoted_collections(method: str, path: str) -> None:
    assert owner(WHOLE, method, path, {}) is Owner.MIXED
    assert owner(MIXED, method, path, {}) is Owner.WAIT
    away = Snapshot(7, 3, Phase.IDLE, {"away/own": PROMOTED, "shop/a": MIRROR})
    assert owner(away, method, path, {}) is (Owner.MIXED if "user" in path else Owner.ORIGIN)


def test_the_refusal_names_what_to_promote() -> None:
    operation = decode_parts("POST", b"/_db/shop/_api/cursor", [], json.dumps(aql("x")).encode())
    facts = QueryFactsCache().of(json.dumps(aql("FOR d IN own INSERT d INTO flipped")).encode())
    found = ownership(operation, MIXED, facts)
    assert found.reason == (
        "one request for promoted collections (shop/own) and others (shop/flipped): promote them together"
    )


def test_nothing_promoted_leaves_every_endpoint_to_arangodb() -> None:
    quiet = Snapshot(7, 3, Phase.IDLE, {"shop/a": FLIPPED, "shop/b": MIRROR}, {"shop": Stage.SHADOW})
    assert not quiet.has_other_writers
    for row in ROWS:
        method = "POST" if row.method == "ANY" else row.method
        operation = Operation(row.endpoint, method, "shop", "a", "k", path=("_api", "x", "y"), body=b"{}")
        assert ownership(operation, quiet, None).owner is Owner.ORIGIN, row


def test_the_snapshot_knows_whether_anything_is_promoted() -> None:
    assert MIXED.has_other_writers
    assert WHOLE.has_other_writers
    assert Snapshot(1, 1, Phase.HOLD, {"shop/a": FLIPPED}, {}, {"shop/a": UP["shop/rising"]}).has_other_writers
    assert not Snapshot(1, 1, Phase.HOLD, {"shop/a": MIRROR}).has_other_writers


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "_api/document/own/k"),
        ("POST", "_api/document/new"),
        ("GET", "_api/version"),
        ("POST", "_api/collection"),
        ("POST", "_api/user"),
        ("POST", "_api/database"),
        ("PUT", "_api/cursor/123"),
        ("POST", "_api/foxx"),
        ("GET", "_api/unheard-of"),
    ],
)
def test_postgresql_is_the_whole_server_once_all_is_complete(method: str, path: str) -> None:
    complete = Snapshot(9, 4, Phase.IDLE, {"shop/own": CollectionState(Stage.COMPLETE, 100)})
    operation = decode_parts(method, f"/_db/shop/{path}".encode(), [], b"")
    found = ownership(operation, complete, None)
    assert (found.owner, found.whole) == (Owner.OWN, True)
    beside = Snapshot(9, 4, Phase.IDLE, {**complete.collections, "shop/flipped": FLIPPED})
    assert not ownership(operation, beside, None).whole


def test_what_began_before_the_last_completion_continues_where_it_began() -> None:
    complete = Snapshot(9, 4, Phase.IDLE, {"shop/own": CollectionState(Stage.COMPLETE, 100)})
    for headers, path in (
        ([], f"_api/cursor/{PROMOTED_CURSORS.make()}"),
        ([(b"x-arango-trx-id", PROMOTED_TRANSACTIONS.make().encode())], "_api/document/own"),
    ):
        found = ownership(decode_parts("POST", f"/_db/shop/{path}".encode(), headers, b"{}"), complete, None)
        assert (found.owner, found.whole) == (Owner.OWN, False)
