"""Schema validation of a collection: `{rule, level, message}` with JSON Schema, the keywords that services use.

Levels as in ArangoDB: none, new (inserts), moderate (what was valid must stay so), strict.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from proxy.documents import content
from proxy.errors import ArangoError
from proxy.values import same

Document = dict[str, Any]
_TYPES: Final[dict[str, Callable[[Any], bool]]] = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "integer": lambda value: (
        (isinstance(value, int) and not isinstance(value, bool)) or (isinstance(value, float) and value.is_integer())
    ),
    "string": lambda value: isinstance(value, str),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}


def check_schema(schema: Document, document: Document, old: Document | None) -> None:
    """Raises ArangoError 1620 where the document breaks the rule and the level minds."""
    level = schema.get("level", "strict")
    rule = schema.get("rule")
    if level == "none" or not isinstance(rule, dict) or (level == "new" and old is not None):
        return
    if valid(rule, content(document)):
        return
    if level == "moderate" and old is not None and not valid(rule, content(old)):
        return
    raise ArangoError(1620, str(schema.get("message") or "schema violation"))


def valid(rule: Any, value: Any) -> bool:
    """Whether a value keeps to a JSON Schema."""
    if isinstance(rule, bool):
        return rule
    return all(check(rule, value) for check in (_general, _combined, _numbers, _strings, _arrays, _objects))


def _general(rule: Document, value: Any) -> bool:
    kinds = rule.get("type")
    if kinds is not None:
        names = kinds if isinstance(kinds, list) else [kinds]
        if not any(_TYPES[name](value) for name in names if name in _TYPES):
            return False
    if "enum" in rule and not any(same(item, value) for item in rule["enum"]):
        return False
    return "const" not in rule or same(rule["const"], value)


def _combined(rule: Document, value: Any) -> bool:
    if "allOf" in rule and not all(valid(part, value) for part in rule["allOf"]):
        return False
    if "anyOf" in rule and not any(valid(part, value) for part in rule["anyOf"]):
        return False
    if "oneOf" in rule and sum(valid(part, value) for part in rule["oneOf"]) != 1:
        return False
    return "not" not in rule or not valid(rule["not"], value)


def _numbers(rule: Document, value: Any) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return True
    within = value >= rule.get("minimum", value) and value <= rule.get("maximum", value)
    above = "exclusiveMinimum" not in rule or value > rule["exclusiveMinimum"]
    below = "exclusiveMaximum" not in rule or value < rule["exclusiveMaximum"]
    return within and above and below and not value % rule.get("multipleOf", value or 1)


def _strings(rule: Document, value: Any) -> bool:
    if not isinstance(value, str):
        return True
    if not rule.get("minLength", 0) <= len(value) <= rule.get("maxLength", len(value)):
        return False
    return "pattern" not in rule or re.search(rule["pattern"], value) is not None


def _arrays(rule: Document, value: Any) -> bool:
    if not isinstance(value, list):
        return True
    if not rule.get("minItems", 0) <= len(value) <= rule.get("maxItems", len(value)):
        return False
    if rule.get("uniqueItems") and any(same(a, b) for i, a in enumerate(value) for b in value[:i]):
        return False
    items = rule.get("items")
    if isinstance(items, list):
        return all(valid(part, item) for part, item in zip(items, value, strict=False))
    return items is None or all(valid(items, item) for item in value)


def _objects(rule: Document, value: Any) -> bool:
    if not isinstance(value, dict):
        return True
    if not rule.get("minProperties", 0) <= len(value) <= rule.get("maxProperties", len(value)):
        return False
    if any(name not in value for name in rule.get("required", ())):
        return False
    properties = rule.get("properties", {})
    patterns = rule.get("patternProperties", {})
    others = rule.get("additionalProperties", True)
    for name, item in value.items():
        known = [properties[name]] if name in properties else []
        known += [part for pattern, part in patterns.items() if re.search(pattern, name)]
        if not all(valid(part, item) for part in known or [others]):
            return False
    return True
