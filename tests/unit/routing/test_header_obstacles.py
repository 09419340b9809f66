"""Headers that forbid capture and comparison, whatever the endpoint."""

from __future__ import annotations

import pytest

from proxy.model.operations import Operation
from proxy.routing.header_obstacles import PACKED, Obstacle, header_obstacle, outside
from proxy.wire.endpoints import named


def operation(**headers: str) -> Operation:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return Operation(named("document.insert"), "POST", "shop", "books", headers=given)


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({}, ""),
        ({"x_arango_async": "true"}, "async job"),
        ({"x_arango_async": "false", "content_encoding": "identity", "if_match": '"x"'}, ""),
        ({"content_type": "application/x-velocypack"}, "velocypack"),
        ({"accept": "application/x-velocypack"}, "velocypack"),
        ({"content_encoding": "gzip"}, "content encoding"),
        ({"x_arango_trx_id": "1"}, "in a transaction"),
    ],
)
def test_the_reason_is_the_same_for_reads_and_writes(headers: dict[str, str], reason: str) -> None:
    assert header_obstacle(operation(**headers)) == header_obstacle(operation(**headers), writes=True) == reason


def test_dirty_reads_are_reads() -> None:
    dirty = operation(x_arango_allow_dirty_read="TRUE")
    assert header_obstacle(dirty) == "dirty read"
    assert header_obstacle(dirty, writes=True) == ""


def test_what_is_allowed_hides_no_other_obstacle() -> None:
    both = operation(content_type="application/x-velocypack", x_arango_trx_id="1")
    assert header_obstacle(both, allowed=PACKED) == "in a transaction"
    assert header_obstacle(both, allowed=PACKED | {Obstacle.IN_TRANSACTION}) == ""


def test_the_same_request_outside_of_its_transaction() -> None:
    inside = operation(x_arango_trx_id="1", accept="x")
    assert outside(inside).headers == {"accept": "x"}
    alone = operation(accept="x")
    assert outside(alone) is alone
