"""Schema validation of a collection: `{rule, level, message}`.

Levels: none, new (inserts), moderate (what was valid must stay so), strict. System attributes are ignored. A rule that
cannot be applied is refused when it is set.
"""

from __future__ import annotations

from typing import Any, Final

from proxy.base.errors import ArangoError
from proxy.model.documents import content
from proxy.semantics import json_schema

Document = dict[str, Any]
_LEVELS: Final = ("none", "new", "moderate", "strict")


def schema_of(body: Document) -> Document | None:
    """Return the schema of a collection's definition; null and {} are none. Raise ArangoError 1621."""
    schema = body.get("schema")
    if schema is None or schema == {}:
        return None
    if not isinstance(schema, dict):
        raise _wrong("Schema description is not an object.")
    if not isinstance(schema.get("rule"), dict):
        raise _wrong("No valid schema in rule attribute given (no object)")
    if schema.get("level", "strict") not in _LEVELS:
        raise _wrong(f"Valid validation levels are: {', '.join(_LEVELS)}")
    if schema.get("type", "json") != "json":
        raise _wrong("Validation type is not valid")
    if not isinstance(schema.get("message", ""), str):
        raise _wrong("Validation message must be a string")
    wrong = json_schema.mistake(schema["rule"])
    if wrong is not None:
        raise _wrong(f"invalid object: {wrong}")
    return schema


def check_schema(schema: Document, document: Document, old: Document | None) -> None:
    """Raise ArangoError 1620 if the document violates the rule and the level matters."""
    level = schema.get("level", "strict")
    rule = schema.get("rule")
    if level == "none" or not isinstance(rule, dict) or (level == "new" and old is not None):
        return
    if json_schema.valid(rule, content(document)):
        return
    if level == "moderate" and old is not None and not json_schema.valid(rule, content(old)):
        return
    raise ArangoError(1620, str(schema.get("message") or "schema violation"))


def _wrong(message: str) -> ArangoError:
    return ArangoError(1621, message)
