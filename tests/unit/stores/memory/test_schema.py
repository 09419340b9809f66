"""JSON Schema: the keywords, and ArangoDB's levels."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.errors import ArangoError
from proxy.stores.memory.schema import check_schema, valid


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
