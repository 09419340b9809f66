"""The keywords of JSON Schema, as ArangoDB applies them: by its source, and where draft 4 is silent or differs."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.semantics.json_schema import mistake, valid


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        ({"type": "integer"}, 1, 1.0),
        ({"type": "integer"}, 1 << 63, "1"),
        ({"type": []}, ..., 1),
        ({"type": ["null", "boolean"]}, None, 0),
        ({"type": "number"}, 1, True),
        ({"enum": [1, "a"]}, "a", True),
        ({"enum": [1, 1]}, 1.0, 2),
        ({"enum": []}, ..., 1),
        ({"const": 1}, 2, ...),
        ({"contains": {"type": "string"}, "if": {}, "then": {"not": {}}}, [1], ...),
        ({"allOf": [{"minimum": 1}, {"maximum": 3}]}, 2, 4),
        ({"anyOf": [{"type": "string"}, {"minimum": 5}]}, "x", 4),
        ({"oneOf": [{"minimum": 1}, {"minimum": 5}]}, 2, 6),
        ({"not": {"type": "string"}}, 1, "x"),
        ({"multipleOf": 3}, 9, 10),
        ({"minLength": 2, "maxLength": 3}, "ab", "a"),
        ({"maxLength": 3}, "abc", "abcd"),
        ({"maxLength": 3}, 12345, "éé"),
        ({"minLength": 2}, "é", "a"),
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
        ({"multipleOf": 0.01}, 0.07, 0.075),
        ({"multipleOf": 1e-300}, 1e300, ...),
        ({"multipleOf": 2}, 1 << 63, 2.5),
        ({"multipleOf": 2}, True, ...),
        ({"items": [{"type": "string"}], "additionalItems": {"type": "number"}}, ["a", 1], ["a", "b"]),
        ({"dependencies": {"a": ["b"]}}, {"a": 1, "b": 1}, {"a": 1}),
        ({"dependencies": {"a": {"required": ["b"]}}}, {"c": 1}, {"a": 1}),
        ({"$ref": "#/definitions/n", "definitions": {"n": {"type": "number"}}}, 1, "a"),
        ({"properties": {"next": {"$ref": "#"}}, "required": ["n"]}, {"n": 1, "next": {"n": 2}}, {"n": 1, "next": {}}),
        ({"allOf": [{"$ref": "#"}, {"$ref": "#/x~1y/0"}], "x/y": [{"type": "string"}]}, "a", 1),
        ({"$ref": "http://example.com/schema"}, 1, ...),
        ({"$ref": 5, "type": "number"}, 1, "a"),
        ({"properties": {"$ref": {"type": "number"}}}, {"$ref": 1}, {"$ref": "#"}),
        (
            {
                "id": "http://example.com/x",
                "$schema": "x",
                "items": {"$ref": "#/definitions/n"},
                "definitions": {"n": {"type": "number"}},
            },
            [1],
            ["a"],
        ),
        ({"additionalItems": {"type": "number"}}, [1], ["a"]),
        ({"items": [], "additionalItems": False}, [], ["a"]),
        ({"items": [], "additionalItems": {"type": "number"}}, [1], ["a"]),
        ({"items": []}, ["a"], ...),
        ({"format": "date-time"}, "2024-02-29T23:59:59.5+23:59", "2023-02-29T00:00:00Z"),
        ({"format": "date-time"}, "0000-02-29T00:00:00Z", "2024-01-01T24:00:00Z"),
        ({"format": "date-time"}, 5, "2024-01-01t00:00:00z"),
        ({"format": "email"}, "a.b+c@example.com", "a..b@example.com"),
        ({"format": "hostname"}, "a-.b", "a_b"),
        ({"format": "ipv4"}, "127.0.0.1", "127.0.0.256"),
        ({"format": "ipv6"}, "::1", "1"),
        ({"format": "uri"}, "https://example.com/a?b#c", "/a"),
        ({"format": "uuid"}, "no uuid", ...),
    ],
)
def test_keywords(rule: Any, good: Any, bad: Any) -> None:
    assert mistake(rule) is None
    assert good is ... or valid(rule, good)
    assert bad is ... or not valid(rule, bad)


@pytest.mark.parametrize(
    "rule",
    [
        {"$ref": "#"},
        {"$ref": "#/none"},
        {"additionalProperties": 1},
        {"allOf": []},
        {"allOf": {}},
        {"dependencies": {"a": []}},
        {"dependencies": {"a": ["b", "b"]}},
        {"dependencies": {"a": [[]]}},
        {"dependencies": []},
        {"enum": 5},
        {"exclusiveMinimum": 1},
        {"exclusiveMinimum": True},
        {"format": 5},
        {"items": True},
        {"items": [5]},
        {"maxLength": -1},
        {"maxLength": 1.5},
        {"maxLength": True},
        {"minimum": "1"},
        {"multipleOf": 0},
        {"pattern": "("},
        {"pattern": 5},
        {"patternProperties": {"(": {}}},
        {"patternProperties": []},
        {"properties": {"a": True}},
        {"properties": {"a": 5}},
        {"properties": []},
        {"required": "a"},
        {"required": []},
        {"required": ["a", "a"]},
        {"required": [{}]},
        {"title": 5},
        {"type": "text"},
        {"type": [[]]},
        {"type": ["string", "string"]},
        {"uniqueItems": 5},
    ],
)
def test_a_rule_that_cannot_be_applied(rule: Any) -> None:
    assert mistake(rule)


def test_a_rule_that_refers_to_itself_ends() -> None:
    assert valid({"allOf": [{"$ref": "#"}]}, 1)
