"""Samples, kept of a mismatch as examples: request, both answers, revisions. Pure.

Answers are kept as text, so that a sample shows what was printed (order, forms of numbers, U+0000), cut at MAX_TEXT.
When redacted, values are replaced by the names of their types; keys of documents stay, since repair needs them.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, urlencode

import msgspec

from proxy.base.errors import ArangoError
from proxy.model import json_reader, json_values
from proxy.model.endpoint import Effect
from proxy.model.operations import Operation, Outcome
from proxy.shadow.diff.compare_answers import TargetAnswer
from proxy.shadow.diff.documents import Difference, Kind, key_of
from proxy.shadow.diff.paths import matches, tokens

MAX_TEXT: Final = 8 << 10  # characters of one answer
_ROWS: Final = 50


@dataclass(frozen=True, slots=True)
class Redaction:
    """The values that samples must not contain.

    everything: no value at all; paths: patterns of paths within documents (`paths`), which apply wherever a path in a
    document or a row ends with them. False if everything may be kept.
    """

    everything: bool = False
    paths: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.everything or bool(self.paths)


@dataclass(frozen=True, slots=True)
class MismatchEvidence:
    """A confirmed mismatch: the request, both answers (bodies, or what represents them), the difference.

    reversed: PostgreSQL had answered the client. trace: the request's `traceparent`, or empty. id: links an explanation
    to its sample.
    """

    operation: Operation
    difference: Difference
    origin: bytes
    target: bytes
    route: str
    reversed: bool = False
    explanation: str | None = None
    trace: str = ""
    id: str = field(default_factory=lambda: secrets.token_hex(4))


def shown_answers(origin: Outcome, target: TargetAnswer, difference: Difference) -> tuple[bytes, bytes]:
    """Return both answers as evidence: bodies; of a query's rows those of the documents
    concerned, else the first ones.
    """
    if isinstance(target, ArangoError):
        body = {"code": target.status, "error": True, "errorMessage": target.message, "errorNum": target.number}
        return origin.body, json_values.dump(body)
    if isinstance(target, Outcome):
        return origin.body, target.body
    try:
        rows = json_values.dump(_concerned(json_reader.load(origin.body)["result"], difference))
    except (ValueError, LookupError):  # the origin refused the query
        rows = origin.body
    return rows, json_values.dump(_concerned(target.rows.rows, difference))


def _concerned(rows: Sequence[object], difference: Difference) -> list[object]:
    keys = set(difference.keys)
    return [row for row in rows if not keys or key_of(row) in keys][:_ROWS]


class _Revision(msgspec.Struct):
    rev: str | None = msgspec.field(name="_rev", default=None)


_REVISION: Final = msgspec.json.Decoder(_Revision)


def sample(evidence: MismatchEvidence, *, text: str, redaction: Redaction) -> dict[str, Any]:
    """Return a sample as JSON values. text: the shape's text, which replaces the query's when values are redacted."""
    return {
        **({"shape": text} if evidence.difference.kind is Kind.WRITE else {}),
        "request": request_of(evidence.operation, text, redaction),
        "origin": shown(evidence.origin, redaction),
        "target": shown(evidence.target, redaction),
        "origin_rev": _rev(evidence.origin),
        "target_rev": _rev(evidence.target),
        "explanation": evidence.explanation,
        "route": evidence.route,
        "traceparent": evidence.trace or None,
        "reversed": evidence.reversed,
        "redacted": bool(redaction),
        "id": evidence.id,
    }


def request_of(operation: Operation, text: str, redaction: Redaction) -> dict[str, Any]:
    """Return method, target and conditions, and for a query its text and bind variables (which may have any path)."""
    # a byte that is not UTF-8 is represented by a surrogate
    parts = (quote(part, safe="", errors="surrogateescape") for part in (operation.database, *operation.path))
    target = "/_db/" + "/".join(parts)
    if operation.params:
        target += "?" + urlencode(operation.params, errors="surrogateescape")
    request: dict[str, Any] = {"method": operation.method, "target": target}
    conditions = {name: operation.headers[name] for name in ("if-match", "if-none-match") if name in operation.headers}
    if conditions:
        request["headers"] = conditions
    if operation.effect is Effect.QUERY:
        body = json_reader.load(operation.body)
        request["query"] = text if redaction else body.get("query")
        binds = body.get("bindVars") or {}
        request["bindVars"] = redacted(binds) if redaction else binds
        options = {name: body[name] for name in ("batchSize", "count", "options") if name in body}
        if options:
            request["options"] = options
    elif operation.body and operation.effect is Effect.WRITE:
        request["body"] = shown(operation.body, redaction)
    elif operation.body:
        request["body"] = operation.body.decode("utf-8", "replace")[:MAX_TEXT]
    return request


def shown(raw: bytes, redaction: Redaction) -> str:
    """Return an answer as text, cut, with type names for values that must not be kept."""
    if redaction:
        try:
            value = json_reader.load(raw)
            raw = json_values.dump(redacted(value) if redaction.everything else without(value, redaction.paths))
        except ValueError:
            return f"{len(raw)} bytes"
    text = raw.decode("utf-8", "replace")
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}… ({len(text)} characters)"


def redacted(value: Any) -> Any:
    """Return the same structure with type names for values; `_key`, `_id` and `_rev` identify a document and stay."""
    if isinstance(value, dict):
        return {
            name: child if name in ("_key", "_id", "_rev") and isinstance(child, str) else redacted(child)
            for name, child in value.items()
        }
    if isinstance(value, list):
        return [redacted(child) for child in value]
    if value is None or isinstance(value, bool):
        return "null" if value is None else "bool"
    return "number" if isinstance(value, int | float) else "string"


def without(value: Any, patterns: Sequence[str]) -> Any:
    """Return the same value with type names for the values whose path ends with one of the patterns."""
    wanted = [tokens(pattern) for pattern in patterns]

    def walk(child: Any, path: tuple[str, ...]) -> Any:
        if any(matches(path, pattern) for pattern in wanted):
            return redacted(child)
        if isinstance(child, dict):
            return {name: walk(one, (*path, name)) for name, one in child.items()}
        return [walk(one, (*path, "[]")) for one in child] if isinstance(child, list) else child

    return walk(value, ())


def _rev(raw: bytes) -> str | None:
    try:
        return _REVISION.decode(raw).rev
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
