"""ArangoDB's levels of schema validation, and what is refused when a schema is set."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.base.errors import ArangoError
from proxy.semantics.schema import check_schema, schema_of

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
        {"rule": {"$ref": "#/none"}},
    ],
)
def test_a_schema_that_makes_no_sense_is_refused_when_it_is_set(schema: Any) -> None:
    with pytest.raises(ArangoError) as refused:
        schema_of({"schema": schema})
    assert (refused.value.number, refused.value.status) == (1621, 400)


def test_no_schema() -> None:
    assert schema_of({}) is schema_of({"schema": None}) is schema_of({"schema": {}}) is None
    whole = {"rule": {"type": "object"}, "message": "no", "level": "new"}
    assert schema_of({"schema": whole}) == whole
