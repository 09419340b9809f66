"""The documents that a request through a named graph writes."""

from __future__ import annotations

from proxy.capture import aql_plan, import_plan, simple_api
from proxy.capture.graph_plan import GraphPlan, definition, drops, key_of, makes, plan
from proxy.capture.transaction_plan import declared
from proxy.model.operations import Operation
from proxy.wire.endpoints import named


def operation(verb: str, body: bytes = b"", *, collection: str = "people", key: str | None = None) -> Operation:
    return Operation(named(f"gharial.{verb}"), "POST", "shop", collection, key, body=body)


def test_keys_come_from_the_path_the_body_or_the_answer() -> None:
    assert plan(operation("vertex_update", key="a")) == GraphPlan("shop/people", "a", None)
    assert plan(operation("vertex_insert", b'{"_key":"a"}')) == GraphPlan("shop/people", "a", None)
    assert plan(operation("edge_insert", b'{"_from":"x/1"}')) == GraphPlan("shop/people", None, None)
    assert plan(operation("vertex_insert", b"{")) == GraphPlan("shop/people", None, None)
    assert key_of(b'{"error":false,"code":202,"vertex":{"_id":"people/7","_key":"7","_rev":"x"}}') == "7"
    assert key_of(b'{"edge":{"_key":"8"}}') == "8"
    assert key_of(b'{"removed":true}') is None
    assert key_of(b"") is None


def test_a_body_that_is_no_utf_8_says_nothing_and_goes_on_to_arangodb() -> None:
    bad = b'{"_key":"\xff","name":"\xff","query":"\xff","keys":["\xff"],"collections":{"write":["\xff"]}}'
    planned = plan(operation("vertex_insert", bad))
    assert planned is not None
    assert planned.key is None
    assert makes(operation("create", bad)) == ()
    assert declared(bad, "shop") == ()
    assert import_plan.key_of(bad) is None
    assert simple_api.keys_of(bad) is None
    assert aql_plan.plan(bad, "shop") == "query not understood"


def test_a_removal_takes_edges_along() -> None:
    assert plan(operation("vertex_remove", key="a")) == GraphPlan("shop/people", "a", "people/a")
    assert plan(operation("edge_remove", key="a")) == GraphPlan("shop/people", "a", "people/a")


def test_a_collection_by_its_id_is_none() -> None:
    assert plan(operation("vertex_update", collection="77", key="a")) is None


def test_what_a_change_of_a_graph_makes() -> None:
    definitions = b'[{"collection":"knows","from":["people"],"to":"towns"}]'
    body = b'{"name":"g","edgeDefinitions":' + definitions + b',"orphanCollections":["o"]}'
    assert makes(operation("create", body)) == ("shop/o", "shop/knows", "shop/people", "shop/towns")
    assert makes(operation("add_vertex_collection", b'{"collection":"v"}')) == ("shop/v",)
    assert makes(operation("create", b"{")) == ()


def test_a_change_writes_its_graph_and_a_replaced_definition_may_write_others() -> None:
    def written(name: str, *path: str, body: bytes = b"") -> tuple[str, tuple[str, ...]] | None:
        return definition(Operation(named(name), "PUT", "shop", path=("_api", "gharial", *path), body=body))

    assert written("gharial.create", body=b'{"name":"g"}') == ("shop/_graphs", ("g",))
    assert written("gharial.create", body=b"{}") is None
    assert written("gharial.remove_edge_definition", "g", "edge", "knows") == ("shop/_graphs", ("g",))
    assert written("gharial.replace_edge_definition", "g", "edge", "knows") == ("shop/_graphs", ())


def test_dropping_collections_is_asked_for_by_a_parameter() -> None:
    def dropping(collection: str | None = None, **params: str) -> tuple[str, ...]:
        return drops(Operation(named("gharial.drop"), "DELETE", "shop", collection, params=params))

    assert dropping(dropCollections="true") == ("shop/*",)
    assert dropping("people", dropCollection="1") == ("shop/people",)
    assert dropping("4711", dropCollection="1") == ("shop/*",)
    assert dropping("people", dropCollections="false", waitForSync="true") == ()
