"""Computed values: what a definition may be, when a value is computed, and what becomes of it."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from proxy.base.errors import ArangoError
from proxy.devserver.store import MemoryStore
from proxy.semantics.computed_values import computed_values_of, computes_on, with_computed
from proxy.wire.decode import decode_parts


def defined(*entries: dict[str, Any]) -> list[dict[str, Any]]:
    values = computed_values_of({"computedValues": [{"overwrite": True, **entry} for entry in entries]})
    assert values is not None
    return values


def test_a_definition_is_completed() -> None:
    assert defined({"name": "n", "expression": "RETURN @doc.a"}) == [
        {
            "name": "n",
            "expression": "RETURN @doc.a",
            "computeOn": ["insert", "update", "replace"],
            "overwrite": True,
            "failOnWarning": False,
            "keepNull": True,
        }
    ]
    assert computed_values_of({"computedValues": []}) is None
    assert computed_values_of({"computedValues": None}) is None
    assert computed_values_of({}) is None


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ({"name": ""}, "invalid attribute name"),
        ({"name": "_rev"}, "'_rev' attribute must not be computed via computation expression"),
        ({"overwrite": 1}, "'overwrite' must be a boolean"),
        ({"computeOn": []}, "empty 'computeOn' value"),
        ({"computeOn": ["insert", "never"]}, "invalid 'computeOn' value: 'never'"),
        ({"computeOn": [1]}, "invalid 'computeOn' value"),
        ({"computeOn": "insert"}, "invalid 'computeOn' value"),
        ({"expression": 1}, "invalid 'expression' value"),
        ({"expression": "RETURN"}, ""),
        ({"expression": "RETURN @other"}, ""),
        ({"expression": "LET a = 1 RETURN a"}, "only a RETURN statement is allowed in computation expression"),
        ({"expression": "FOR d IN c RETURN d"}, "only a RETURN statement is allowed in computation expression"),
        ({"expression": "RETURN (RETURN 1)"}, "subqueries are not allowed in computation expression"),
        ({"expression": "RETURN DOCUMENT('c/a')"}, "access to collections is not allowed in computation expression"),
        ({"expression": "RETURN DOCUMENT(@doc.a)"}, "access to collections is not allowed in computation expression"),
    ],
)
def test_a_wrong_definition_is_refused(entry: dict[str, Any], text: str) -> None:
    with pytest.raises(ArangoError) as caught:
        defined({"name": "n", "expression": "RETURN 1", **entry})
    assert (caught.value.number, caught.value.status) == (10, 400)
    prefix = "Error when validating computedValues: invalid 'computedValues' entry: "
    assert caught.value.message.startswith(prefix + text)


def test_two_of_one_name_are_refused() -> None:
    with pytest.raises(ArangoError, match="duplicate attribute name 'n'"):
        defined({"name": "n", "expression": "RETURN 1"}, {"name": "n", "expression": "RETURN 2"})


@pytest.mark.parametrize("given", [1, {"name": "n"}, "text"])
def test_what_is_not_an_array_is_refused(given: object) -> None:
    with pytest.raises(ArangoError, match="not an array"):
        computed_values_of({"computedValues": given})


def test_all_see_the_document_as_it_was_given() -> None:
    values = defined(
        {"name": "n", "expression": "RETURN @doc.n + 1"},
        {"name": "m", "expression": "RETURN @doc.n * 10", "overwrite": False},
    )
    assert with_computed(values, "c", "insert", {"n": 1, "a": 2}) == {"a": 2, "n": 2, "m": 10}
    assert list(with_computed(values, "c", "insert", {"n": 1, "a": 2})) == ["a", "n", "m"]
    assert with_computed(values, "c", "insert", {"n": 1, "m": None}) == {"m": None, "n": 2}


def test_a_value_is_computed_on_its_events_only() -> None:
    values = defined({"name": "n", "expression": "RETURN 1", "computeOn": ["update"]})
    assert [with_computed(values, "c", event, {}) for event in ("insert", "update", "replace")] == [{}, {"n": 1}, {}]
    assert [computes_on(values, event) for event in ("insert", "update", "replace")] == [False, True, False]
    assert not computes_on(None, "update")


def test_null_is_kept_or_left_out() -> None:
    kept = defined({"name": "n", "expression": "RETURN @doc.missing"})
    left_out = defined({"name": "n", "expression": "RETURN @doc.missing", "keepNull": False})
    assert with_computed(kept, "c", "insert", {"n": 1}) == {"n": None}
    assert with_computed(left_out, "c", "insert", {"n": 1}) == {}


def test_a_warning_fails_the_write_if_that_is_asked() -> None:
    ignored = defined({"name": "n", "expression": "RETURN 1 / @doc.zero"})
    assert with_computed(ignored, "c", "insert", {"zero": 0}) == {"zero": 0, "n": None}
    failing = defined({"name": "n", "expression": "RETURN 1 / @doc.zero", "failOnWarning": True})
    with pytest.raises(ArangoError, match="attribute 'n' of collection 'c': division by zero") as caught:
        with_computed(failing, "c", "insert", {"zero": 0})
    assert caught.value.number == 1562


def test_an_empty_patch_computes_values() -> None:
    store = MemoryStore()
    value = {"name": "n", "expression": "RETURN @doc.n + 1", "overwrite": True}

    def send(method: str, target: str, body: Any) -> Any:
        return orjson.loads(store.run(decode_parts(method, target.encode(), [], orjson.dumps(body))).body)

    send("POST", "/_api/collection", {"name": "c", "computedValues": [value]})
    send("POST", "/_api/document/c", {"_key": "a", "n": 1})
    assert send("PATCH", "/_api/document/c/a?returnNew=true", {})["new"]["n"] == 3
    assert send("PUT", "/_api/document/c/a?returnNew=true", {"n": 7})["new"]["n"] == 8
