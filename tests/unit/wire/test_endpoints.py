"""The table of endpoints agrees with itself, and with the tables that are keyed by its facts."""

from __future__ import annotations

import pickle

import pytest

from proxy.capture import dispatch
from proxy.model.endpoint import Capture, CollectionIn, Effect, Endpoint, Family, InTransaction, Read
from proxy.model.operations import Operation
from proxy.routing.write_routes import WRITE_ROUTES
from proxy.wire.endpoints import ROWS, SERVICE, UNKNOWN, UNKNOWN_SAFE, named

ENDPOINTS: set[Endpoint] = {row.endpoint for row in ROWS} | {UNKNOWN, UNKNOWN_SAFE, SERVICE}


IN_ORDER = sorted(ENDPOINTS, key=lambda one: (one.name, one.effect.value, one.refusal.value))


@pytest.mark.parametrize("endpoint", IN_ORDER)
def test_the_facts_of_a_row_agree(endpoint: Endpoint) -> None:
    writes = endpoint.capture is not Capture.NONE
    if endpoint.effect in (Effect.WRITE, Effect.OPAQUE):
        assert writes  # I10: what may write has a way to be captured, or is opaque
    assert (endpoint.effect is Effect.WRITE) == (endpoint.capture is Capture.DOCUMENT)
    assert (endpoint.effect is Effect.QUERY) == (endpoint.capture is Capture.AQL) == (endpoint.read is Read.QUERY)
    assert (endpoint.effect is Effect.READ) == (endpoint.read in (Read.DOCUMENT, Read.HEAD, Read.MANY))
    assert not (endpoint.read.reworded and writes)
    assert not (endpoint.in_transaction is not InTransaction.NO and not writes)
    if endpoint.collection_in is CollectionIn.BODY:
        assert endpoint.collection_at == -1


def test_every_kind_of_write_has_its_way_and_its_module() -> None:
    assert set(WRITE_ROUTES) == set(Capture) - {Capture.NONE, Capture.AQL}
    with_state, uncaptured = {Capture.AQL, Capture.TRANSACTION}, {Capture.NONE, Capture.OPAQUE, Capture.INDEX}
    assert set(dispatch.CAPTURES) == set(Capture) - uncaptured - with_state


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
