"""The table of endpoints agrees with itself, and with the tables that are keyed by its facts."""

from __future__ import annotations

import dataclasses
import pickle

import pytest

from proxy.capture import dispatch
from proxy.model.endpoint import CollectionIn, Effect, Endpoint, Family, InTransaction, Read, WriteRoute
from proxy.model.operations import Operation
from proxy.routing.write_routes import WRITE_ROUTES
from proxy.wire.endpoints import ROWS, SERVICE, UNKNOWN, UNKNOWN_SAFE, named

ENDPOINTS: set[Endpoint] = {row.endpoint for row in ROWS} | {UNKNOWN, UNKNOWN_SAFE, SERVICE}


IN_ORDER = sorted(ENDPOINTS, key=lambda one: (one.name, one.effect.value, one.refusal.value))


@pytest.mark.parametrize("endpoint", IN_ORDER)
def test_the_facts_of_a_row_agree(endpoint: Endpoint) -> None:
    writes = endpoint.write_route is not WriteRoute.NONE
    if endpoint.effect in (Effect.WRITE, Effect.OPAQUE):
        assert writes  # I10: what may write has a way to be captured, or is opaque
    documents = (endpoint.write_route is WriteRoute.DOCUMENT, endpoint.capture == "documents")
    assert (endpoint.effect is Effect.WRITE,) * 2 == documents
    queries = (endpoint.write_route is WriteRoute.QUERY, endpoint.capture == "queries", endpoint.read is Read.QUERY)
    assert (endpoint.effect is Effect.QUERY,) * 3 == queries
    assert (endpoint.effect is Effect.READ) == (endpoint.read in (Read.DOCUMENT, Read.HEAD, Read.MANY))
    assert not (endpoint.read.reworded and writes)
    assert not (endpoint.in_transaction is not InTransaction.NO and not writes)
    if endpoint.collection_in is CollectionIn.BODY:
        assert endpoint.collection_at == -1


def test_every_route_has_its_rule() -> None:
    assert set(WRITE_ROUTES) == set(WriteRoute) - {WriteRoute.NONE, WriteRoute.QUERY}


def test_every_kind_of_write_has_its_module_and_every_module_its_rows() -> None:
    assert set(dispatch.KINDS) == {endpoint.capture for endpoint in ENDPOINTS} - {""}
    uncaptured = {WriteRoute.NONE, WriteRoute.INDEX, WriteRoute.UNCAPTURED}
    assert all((endpoint.capture == "") == (endpoint.write_route in uncaptured) for endpoint in ENDPOINTS)


def test_a_misspelt_kind_is_an_error_that_names_it() -> None:
    misspelt = dataclasses.replace(named("import"), capture="import")
    with pytest.raises(
        ValueError, match=r"endpoint import: no module of proxy\.capture\.kinds is called 'import'; there"
    ):
        dispatch.check_rows(dispatch.KINDS, [misspelt])


def test_a_part_of_a_transaction_whose_kind_is_never_one_is_an_error() -> None:
    """It would be carried out as if the transaction could not undo it."""
    wrong = dataclasses.replace(named("collection.create"), in_transaction=InTransaction.PART)
    with pytest.raises(ValueError, match=r"endpoint collection\.create: collection_changes has no in_transaction"):
        dispatch.check_rows(dispatch.KINDS, [wrong])


@pytest.mark.parametrize(("route", "kind"), [(WriteRoute.NONE, "imports"), (WriteRoute.AS_NAMED, "")])
def test_a_kind_without_a_route_is_an_error_as_is_a_route_without_a_kind(route: WriteRoute, kind: str) -> None:
    with pytest.raises(ValueError, match="needs both a route and a kind"):
        Endpoint("planted", Effect.OPAQUE, Family.BULK, write_route=route, capture=kind)


def test_an_endpoint_has_one_name_for_one_effect() -> None:
    """But for Foxx: to install a service, and the paths that services are mounted at."""
    keys = [(one.name, one.effect) for one in ENDPOINTS if one is not SERVICE]
    assert len(keys) == len(set(keys))


def test_a_name_gives_the_row_that_may_write() -> None:
    assert named("document.read").read is Read.DOCUMENT
    assert named("unknown") is UNKNOWN
    assert named("task").effect is Effect.OPAQUE
    assert named("foxx").effect is Effect.OPAQUE
    with pytest.raises(KeyError):
        named("no.such")


def test_an_operation_is_the_same_after_a_worker_has_had_it() -> None:
    operation = Operation(named("gharial.vertex_read"), "GET", "shop", "people", "a")
    again = pickle.loads(pickle.dumps(operation))
    assert again == operation
    assert again.endpoint.family is Family.GRAPH
