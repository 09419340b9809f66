"""What a collection takes with it: numbers and revisions that never repeat, what is kept only, what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.carryover.collection_handover import OriginCollectionState, TargetCollectionState, plan_handover
from proxy.model.revision import encode_rev

PRIMARY = {"id": "c/0", "name": "primary", "type": "primary", "fields": ["_key"], "unique": True, "sparse": False}


def origin(revision: int = 0, indexes: tuple[dict[str, Any], ...] = (), **properties: Any) -> OriginCollectionState:
    shown = {"id": "70", "name": "c", "type": 2, "revision": encode_rev(revision), "status": 3, **properties}
    return OriginCollectionState(shown, (PRIMARY, *indexes))


@pytest.mark.parametrize(
    ("options", "target", "last"),
    [
        ({"type": "traditional", "lastValue": 7}, TargetCollectionState(edge=False, decimal=5, padded=99), 7),
        ({"type": "traditional", "lastValue": 7}, TargetCollectionState(edge=False, decimal=9, padded=99), 9),
        (
            {"type": "autoincrement", "offset": 3, "increment": 5, "lastValue": 13},
            TargetCollectionState(edge=False),
            13,
        ),
        ({"type": "padded", "lastValue": 7}, TargetCollectionState(edge=False, decimal=99, padded=0x1F), 0x1F),
        ({"type": "padded", "lastValue": 7}, TargetCollectionState(edge=False, decimal=99), 7),
        ({"type": "uuid"}, TargetCollectionState(edge=False, decimal=99, padded=99), 0),
        ({"type": "traditional"}, TargetCollectionState(edge=False), 0),
    ],
)
def test_generated_keys_continue_above_both(options: dict[str, Any], target: TargetCollectionState, last: int) -> None:
    planned = plan_handover("shop/c", origin(keyOptions=options), target)
    assert planned.last == last
    kept = {name: value for name, value in options.items() if name != "lastValue"}
    assert json.loads(planned.properties)["keyOptions"] == kept


def test_revisions_continue_above_both() -> None:
    newest = 1872607071780732928
    for theirs, ours in ((newest, 5), (5, newest)):
        planned = plan_handover("shop/c", origin(theirs), TargetCollectionState(edge=False, revision=ours))
        assert planned.revision == newest


def test_properties_are_those_that_clients_see() -> None:
    kept: dict[str, Any] = {
        "id": "70",
        "objectId": "71",
        "globallyUniqueId": "h11/70",
        "type": 2,
        "isSystem": False,
        "waitForSync": True,
        "cacheEnabled": True,
        "writeConcern": 1,
        "schema": {"rule": {"type": "object"}, "level": "strict", "message": "no", "type": "json"},
        "computedValues": [{"name": "n", "expression": "RETURN 1", "overwrite": True}],
    }
    index = {"id": "c/72", "name": "by_n", "type": "persistent", "fields": ["n"], "storedValues": ["x"], "unique": True}
    shown = origin(
        indexes=({**index, "figures": {"memory": 1}, "isNewlyCreated": False},), **kept, statusString="loaded"
    )
    planned = plan_handover("shop/c", shown, TargetCollectionState(edge=False))
    assert json.loads(planned.properties) == {**kept, "keyOptions": {}, "indexes": [PRIMARY, index]}
    assert (planned.kept_only, planned.refused) == ((), ())
    assert planned.one_way == ("ArangoDB would compute n again in each document that it gets (`overwrite: true`)",)


def test_what_has_no_effect_on_postgresql_is_named() -> None:
    kinds = ("geo", "fulltext", "inverted", "zkd", "mdi", "mdi-prefixed", "vector", "ttl", "hash")
    indexes = tuple({"id": f"c/{n}", "name": f"i{n}", "type": kind, "fields": ["a"]} for n, kind in enumerate(kinds))
    shown = origin(indexes=indexes, isSmart=True, shardKeys=["a"], distributeShardsLike="")
    planned = plan_handover("shop/c", shown, TargetCollectionState(edge=False))
    assert planned.kept_only == (
        *(f"index i{n} ({kind}) is shown, and no query uses it" for n, kind in enumerate(kinds[:-2])),
        "isSmart is a property of clusters",
        "shardKeys are a property of clusters",
    )
    assert len(planned.indexes) == len(kinds) + 1


@pytest.mark.parametrize(
    ("properties", "reason"),
    [
        ({"type": 3}, "ArangoDB and PostgreSQL do not agree on whether it holds edges"),
        ({"keyOptions": {"type": "sequence"}}, "its keyOptions cannot be carried over: invalid key generator type"),
        ({"schema": {"rule": {}, "level": "some"}}, "its schema cannot be carried over: "),
        (
            {"computedValues": [{"name": "_key", "expression": "RETURN 1"}]},
            "its computedValues cannot be carried over: ",
        ),
    ],
)
def test_what_postgresql_cannot_take_is_named(properties: dict[str, Any], reason: str) -> None:
    (refused,) = plan_handover("shop/c", origin(**properties), TargetCollectionState(edge=False)).refused
    assert refused.startswith(reason)
