"""Schema validation of a collection: `{rule, level, message}` with JSON Schema (draft 4, as ArangoDB; no remote ones).

Levels: none, new (inserts), moderate (what was valid must stay so), strict. System attributes are ignored. `$ref` finds
places of the same rule. A rule that cannot be applied is refused when it is set.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import Any, Final
from urllib.parse import unquote

from proxy.base.errors import ArangoError, Unsupported
from proxy.model.documents import content
from proxy.model.json_values import same

Document = dict[str, Any]
_LEVELS: Final = ("none", "new", "moderate", "strict")
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
# keywords by what they contain: rules by name, lists of rules, one rule (or a boolean), counts, numbers
_NAMED: Final = ("properties", "patternProperties", "definitions", "$defs")
_SEVERAL: Final = ("allOf", "anyOf", "oneOf")
_ONE: Final = ("not", "additionalProperties", "additionalItems")
_SIZES: Final = ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")
_BOUNDS: Final = ("minimum", "maximum", "multipleOf")
_DEEP: Final = 100  # levels of nested rules


def schema_of(body: Document) -> Document | None:
    """Return the schema of a collection's definition; null and {} are none. Raise ArangoError 1621, Unsupported."""
    schema = body.get("schema")
    if schema is None or schema == {}:
        return None
    if not isinstance(schema, dict) or not isinstance(schema.get("rule"), dict):
        raise _wrong("Validation schema object has no rule")
    if schema.get("level", "strict") not in _LEVELS:
        raise _wrong("Validation level is not valid")
    if schema.get("type", "json") != "json":
        raise _wrong("Validation type is not valid")
    if not isinstance(schema.get("message", ""), str):
        raise _wrong("Validation message must be a string")
    _check_rule(schema["rule"], schema["rule"], 0)
    return schema


def check_schema(schema: Document, document: Document, old: Document | None) -> None:
    """Raise ArangoError 1620 if the document violates the rule and the level matters."""
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
    """Return True if a value satisfies a JSON Schema that `schema_of` has accepted."""
    return _Check(rule).valid(rule, value)


class _Check:
    """One value against one rule. `busy`: the pairs in progress, so that a rule that refers to itself ends."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._busy: set[tuple[int, int]] = set()

    def valid(self, rule: Any, value: Any) -> bool:
        if isinstance(rule, bool):
            return rule
        place = (id(rule), id(value))
        if place in self._busy:
            return True
        self._busy.add(place)
        try:
            if "$ref" in rule:
                return self.valid(_resolve(self._root, rule["$ref"]), value)
            checks = (_general, self._combined, _numbers, _strings, self._arrays, self._objects)
            return all(check(rule, value) for check in checks)
        finally:
            self._busy.discard(place)

    def _combined(self, rule: Document, value: Any) -> bool:
        if not all(self.valid(part, value) for part in rule.get("allOf", ())):
            return False
        if "anyOf" in rule and not any(self.valid(part, value) for part in rule["anyOf"]):
            return False
        if "oneOf" in rule and sum(self.valid(part, value) for part in rule["oneOf"]) != 1:
            return False
        return "not" not in rule or not self.valid(rule["not"], value)

    def _arrays(self, rule: Document, value: Any) -> bool:
        if not isinstance(value, list):
            return True
        if not rule.get("minItems", 0) <= len(value) <= rule.get("maxItems", len(value)):
            return False
        if rule.get("uniqueItems") is True and any(same(a, b) for i, a in enumerate(value) for b in value[:i]):
            return False
        items = rule.get("items", True)
        if not isinstance(items, list):
            return all(self.valid(items, item) for item in value)
        others = rule.get("additionalItems", True)
        parts = [*items, *[others] * (len(value) - len(items))]
        return all(self.valid(part, item) for part, item in zip(parts, value, strict=False))

    def _objects(self, rule: Document, value: Any) -> bool:
        if not isinstance(value, dict):
            return True
        if not rule.get("minProperties", 0) <= len(value) <= rule.get("maxProperties", len(value)):
            return False
        if any(name not in value for name in rule.get("required", ())):
            return False
        for name, needed in rule.get("dependencies", {}).items():
            if name in value and not self._depends(needed, value):
                return False
        properties = rule.get("properties", {})
        patterns = rule.get("patternProperties", {})
        others = rule.get("additionalProperties", True)
        for name, item in value.items():
            known = [properties[name]] if name in properties else []
            known += [part for pattern, part in patterns.items() if re.search(pattern, name)]
            if not all(self.valid(part, item) for part in known or [others]):
                return False
        return True

    def _depends(self, needed: Any, value: Document) -> bool:
        return all(name in value for name in needed) if isinstance(needed, list) else self.valid(needed, value)


def _general(rule: Document, value: Any) -> bool:
    kinds = rule.get("type")
    if kinds is not None:
        names = kinds if isinstance(kinds, list) else [kinds]
        if not any(_TYPES[name](value) for name in names):
            return False
    if "enum" in rule and not any(same(item, value) for item in rule["enum"]):
        return False
    return "const" not in rule or same(rule["const"], value)


def _numbers(rule: Document, value: Any) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return True
    if not (value >= rule.get("minimum", value) and value <= rule.get("maximum", value)):
        return False
    # draft 4 has `exclusiveMinimum: true` beside `minimum`; later drafts have the number itself
    low, high = rule.get("exclusiveMinimum"), rule.get("exclusiveMaximum")
    low = rule.get("minimum") if low is True else low
    high = rule.get("maximum") if high is True else high
    above = low is None or low is False or value > low
    below = high is None or high is False or value < high
    return above and below and _multiple(value, rule.get("multipleOf"))


def _multiple(value: float, of: float | None) -> bool:
    if of is None:
        return True
    if isinstance(value, int) and isinstance(of, int):
        return value % of == 0
    times = value / of
    return math.isinf(times) or abs(times - round(times)) < 1e-9


def _strings(rule: Document, value: Any) -> bool:
    if not isinstance(value, str):
        return True
    if not rule.get("minLength", 0) <= len(value) <= rule.get("maxLength", len(value)):
        return False
    return "pattern" not in rule or re.search(rule["pattern"], value) is not None


# ---- a rule, when it is set


def _wrong(message: str) -> ArangoError:
    return ArangoError(1621, message)


def _check_rule(root: Document, rule: Any, depth: int) -> None:
    """Raise ArangoError 1621 if a rule cannot be applied to a value."""
    if isinstance(rule, bool):
        return
    if not isinstance(rule, dict) or depth > _DEEP:
        raise _wrong("a schema must be an object")
    if "$ref" in rule:
        _resolve(root, rule["$ref"])
    kinds = rule.get("type", [])
    for kind in kinds if isinstance(kinds, list) else [kinds]:
        if not isinstance(kind, str) or kind not in _TYPES:
            raise _wrong(f"unknown type {kind!r}")
    _check_numbers(rule)
    if not isinstance(rule.get("enum", []), list):
        raise _wrong("enum must be an array")
    _check_names(rule)
    patterns = rule.get("patternProperties", {})
    for pattern in (rule.get("pattern", ""), *(patterns if isinstance(patterns, dict) else ())):
        _check_pattern(pattern)
    for part in _parts(rule):
        _check_rule(root, part, depth + 1)


def _check_numbers(rule: Document) -> None:
    """Raise ArangoError 1621 if a size or a bound is not a number that can be one."""
    for name in (*_SIZES, *_BOUNDS):
        given = rule.get(name, 1)
        if isinstance(given, bool) or not isinstance(given, int | float):
            raise _wrong(f"{name} must be a number")
    if rule.get("multipleOf", 1) <= 0:
        raise _wrong("multipleOf must be positive")
    for name in ("exclusiveMinimum", "exclusiveMaximum"):
        if not isinstance(rule.get(name, 1), int | float):
            raise _wrong(f"{name} must be a boolean or a number")


def _check_names(rule: Document) -> None:
    """Raise ArangoError 1621 if required attributes are not given as arrays of names."""
    dependencies = rule.get("dependencies", {})
    lists = [part for part in dependencies.values() if isinstance(part, list)] if isinstance(dependencies, dict) else []
    for names in (rule.get("required", []), *lists):
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise _wrong("required must be an array of names")


def _check_pattern(pattern: Any) -> None:
    try:
        re.compile(pattern)
    except (re.error, TypeError) as error:
        raise _wrong(f"pattern is no regular expression: {pattern!r}") from error


def _parts(rule: Document) -> Iterator[Any]:
    """Yield the rules within a rule. Raise ArangoError 1621 if a keyword contains something else."""
    for name in _NAMED:
        parts = rule.get(name, {})
        if not isinstance(parts, dict):
            raise _wrong(f"{name} must be an object")
        yield from parts.values()
    for name in _SEVERAL:
        parts = rule.get(name, [])
        if not isinstance(parts, list):
            raise _wrong(f"{name} must be an array")
        yield from parts
    yield from (rule[name] for name in _ONE if name in rule)
    items = rule.get("items", True)
    yield from items if isinstance(items, list) else (items,)
    dependencies = rule.get("dependencies", {})
    if not isinstance(dependencies, dict):
        raise _wrong("dependencies must be an object")
    yield from (part for part in dependencies.values() if not isinstance(part, list))


def _resolve(root: Any, reference: Any) -> Any:
    """Return the rule that a `$ref` names: a place in the same rule. Raise ArangoError 1621, Unsupported."""
    if not isinstance(reference, str):
        raise _wrong("$ref must be a string")
    if not reference.startswith("#"):
        raise Unsupported("remote JSON schemas")
    found = root
    for part in filter(None, unquote(reference[1:]).split("/")):
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict) and name in found:
            found = found[name]
        elif isinstance(found, list) and name.isdigit() and int(name) < len(found):
            found = found[int(name)]
        else:
            raise _wrong(f"$ref finds nothing: {reference}")
    return found
