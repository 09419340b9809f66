"""The row of a method and a path."""

from __future__ import annotations

import pytest

from proxy.wire.endpoints import SERVICE, UNKNOWN, UNKNOWN_SAFE
from proxy.wire.path_tree import find, knows_path


@pytest.mark.parametrize(
    ("method", "path", "name", "collection", "key", "fixed"),
    [
        ("GET", "_api/document/c/k", "document.read", 2, 3, False),
        ("POST", "_api/document/c", "document.insert", 2, -1, True),
        ("POST", "_api/document", "document.insert", -1, -1, True),
        ("GET", "_api/gharial/g/vertex/c/k", "gharial.vertex_read", 4, 5, False),
        ("DELETE", "_api/job/done/x", "job", -1, -1, False),  # a last `*`, of any method
        ("GET", "_api/job", "job", -1, -1, False),
    ],
)
def test_a_pattern_shows_where_the_path_names_things(
    method: str, path: str, name: str, collection: int, key: int, fixed: bool
) -> None:
    place = find(method, path.split("/"))
    assert (place.endpoint.name, place.collection, place.key, place.fixed) == (name, collection, key, fixed)


def test_a_parameter_can_make_another_endpoint_of_a_pattern() -> None:
    place = find("PUT", ["_api", "document", "c"])
    assert place.flagged is not None
    assert (place.endpoint.name, place.parameter, place.flagged.name) == (
        *("document.replace_many", "onlyget", "document.read_many"),
    )
    assert find("PUT", ["_api", "document"]).flagged is None


def test_what_the_table_does_not_know() -> None:
    assert find("GET", ["_api", "nothing"]).endpoint is UNKNOWN_SAFE
    assert find("POST", ["_api", "nothing"]).endpoint is UNKNOWN
    assert find("GET", ["my", "service"]).endpoint is SERVICE
    assert find("GET", []).endpoint is UNKNOWN_SAFE


def test_a_path_is_known_whatever_its_method() -> None:
    assert knows_path(["_api", "document", "c"])
    assert knows_path(["_api", "job"])
    assert not knows_path(["_api"])
    assert not knows_path(["_api", "nothing"])
