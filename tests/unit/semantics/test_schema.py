"""JSON Schema: the keywords, and ArangoDB's levels."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.base.errors import ArangoError, Unsupported
from proxy.semantics.schema import check_schema, schema_of, valid


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        ({"type": "integer"}, 1.0, 1.5),
        ({"type": ["null", "boolean"]}, None, 0),
        ({"type": "number"}, 1, True),
        ({"enum": [1, "a"]}, "a", True),
        ({"const": {"a": 1}}, {"a": 1.0}, {"a": True}),
        ({"allOf": [{"minimum": 1}, {"maximum": 3}]}, 2, 4),
        ({"anyOf": [{"type": "string"}, {"minimum": 5}]}, "x", 4),
        ({"oneOf": [{"minimum": 1}, {"minimum": 5}]}, 2, 6),
        ({"not": {"type": "string"}}, 1, "x"),
        ({"exclusiveMinimum": 1, "exclusiveMaximum": 3}, 2, 3),
        ({"exclusiveMinimum": 1}, "text", 1),
        ({"multipleOf": 3}, 9, 10),
        ({"minLength": 2, "maxLength": 3}, "ab", "a"),
        ({"maxLength": 3}, "abc", "abcd"),
        ({"pattern": "^a"}, "abc", "cba"),
        ({"minItems": 1, "maxItems": 2}, [1], []),
        ({"uniqueItems": True}, [1, True], [1, 1.0]),
        ({"items": {"type": "string"}}, ["a"], ["a", 1]),
        ({"items": [{"type": "string"}, {"type": "number"}]}, ["a", 1], [1, "a"]),
        ({"required": ["a"], "properties": {"a": {"type": "string"}}}, {"a": "x", "b": 1}, {"b": 1}),
        ({"properties": {"a": {}}, "additionalProperties": False}, {"a": 1}, {"b": 1}),
        ({"patternProperties": {"^n": {"type": "number"}}, "additionalProperties": False}, {"n1": 1}, {"n1": "x"}),
        ({"minProperties": 1, "maxProperties": 1}, {"a": 1}, {"a": 1, "b": 2}),
        ({"minimum": 1, "exclusiveMinimum": True}, 2, 1),
        ({"maximum": 1, "exclusiveMaximum": True}, 0, 1),
        ({"maximum": 1, "exclusiveMaximum": False}, 1, 2),
        ({"multipleOf": 0.1}, 0.3, 0.35),
        ({"multipleOf": 1e-300}, 1e300, ...),
        ({"items": [{"type": "string"}], "additionalItems": {"type": "number"}}, ["a", 1], ["a", "b"]),
        ({"dependencies": {"a": ["b"]}}, {"a": 1, "b": 1}, {"a": 1}),
        ({"dependencies": {"a": {"required": ["b"]}}}, {"c": 1}, {"a": 1}),
        ({"$ref": "#/definitions/n", "definitions": {"n": {"type": "number"}}}, 1, "a"),
        ({"properties": {"next": {"$ref": "#"}}, "required": ["n"]}, {"n": 1, "next": {"n": 2}}, {"n": 1, "next": {}}),
        ({"allOf": [{"$ref": "#"}, {"$ref": "#/x~1y/0"}], "x/y": [{"type": "string"}]}, "a", 1),
        (True, 1, ...),
    ],
)
def test_keywords(rule: Any, good: Any, bad: Any) -> None:
    assert valid(rule, good)
    if bad is not ...:
        assert not valid(rule, bad)
    assert not valid(False, good)


RULE = {"required": ["n"]}


def test_levels() -> None:
    check_schema({"rule": RULE, "level": "none"}, {}, None)
    check_schema({"rule": RULE, "level": "new"}, {}, {"n": 1})
    check_schema({"rule": RULE, "level": "moderate"}, {}, {})
    check_schema({"level": "strict"}, {}, None)
    for level, old in (("new", None), ("moderate", None), ("moderate", {"n": 1}), ("strict", {})):
        with pytest.raises(ArangoError, match="schema violation"):
            check_schema({"rule": RULE, "level": level}, {"_key": "k"}, old)


@pytest.mark.parametrize(
    "schema",
    [
        5,
        {"level": "strict"},
        {"rule": 5},
        {"rule": {}, "level": "all"},
        {"rule": {}, "type": "xml"},
        {"rule": {}, "message": 5},
        {"rule": {"type": "text"}},
        {"rule": {"type": [[]]}},
        {"rule": {"required": [{}]}},
        {"rule": {"dependencies": {"a": [[]]}}},
        {"rule": {"pattern": "("}},
        {"rule": {"pattern": 5}},
        {"rule": {"patternProperties": {"(": {}}}},
        {"rule": {"patternProperties": []}},
        {"rule": {"properties": {"a": 5}}},
        {"rule": {"properties": []}},
        {"rule": {"minimum": "1"}},
        {"rule": {"maxLength": True}},
        {"rule": {"multipleOf": 0}},
        {"rule": {"exclusiveMinimum": "1"}},
        {"rule": {"enum": 5}},
        {"rule": {"required": "a"}},
        {"rule": {"allOf": {}}},
        {"rule": {"items": [5]}},
        {"rule": {"dependencies": []}},
        {"rule": {"$ref": 5}},
        {"rule": {"$ref": "#/none"}},
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_when_it_is_set(schema: Any) -> None:
    with pytest.raises(ArangoError) as refused:
        schema_of({"schema": schema})
    assert (refused.value.number, refused.value.status) == (1621, 400)


def test_a_rule_elsewhere_is_not_fetched() -> None:
    with pytest.raises(Unsupported, match="remote"):
        schema_of({"schema": {"rule": {"$ref": "http://example.com/schema"}}})


def test_no_schema() -> None:
    assert schema_of({}) is schema_of({"schema": None}) is schema_of({"schema": {}}) is None
    whole = {"rule": {"type": "object"}, "message": "no", "level": "new"}
    assert schema_of({"schema": whole}) == whole
