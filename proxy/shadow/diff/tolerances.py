"""Tolerances: rules on paths where a difference does not matter, and the answers without what they cover. Pure.

A rule belongs to a collection and a path (`paths`), as `crossfade mismatches list` prints it. It applies to the
collection's documents wherever they are answered; a path that begins with `[]` applies to the rows of queries,
whatever these are.

    ignore          the attribute is left out of the comparison
    round N         numbers are rounded to N digits after the point
    seconds N       timestamps (ISO 8601 text, or numbers of seconds) are cut to N seconds
    set             an array's order, and how often it has an element, do not count

Two values on both sides of a boundary of rounding still differ: leave a digit of room.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from proxy.model import json_reader, json_values
from proxy.model.endpoint import Read
from proxy.model.operations import Operation, Outcome
from proxy.shadow.diff.compare_answers import QueryAnswer, TargetAnswer, error_of
from proxy.shadow.diff.documents import Difference, TargetRows, canonical, gathered
from proxy.shadow.diff.paths import ANY, tokens

RULES: Final = {"ignore": False, "round": True, "seconds": True, "set": False}  # name -> True if it takes a number
_GONE: Final = object()


@dataclass(frozen=True, slots=True)
class Tolerance:
    """One rule of one collection. collection: `database/name`; argument: of round and seconds."""

    collection: str
    path: str
    rule: str
    argument: float | None = None

    def __str__(self) -> str:
        return f"{self.rule} {self.path}" + (f" {self.argument:g}" if self.argument is not None else "")


def apply_tolerances(
    operation: Operation, origin: Outcome, target: TargetAnswer, rules: Sequence[Tolerance]
) -> tuple[Outcome, TargetAnswer]:
    """Return both answers without what the rules cover; errors stay. Raise ValueError if one is not JSON."""
    if not rules or error_of(origin) is not None or origin.status >= 300:
        return origin, target
    if isinstance(target, QueryAnswer):
        body = json_reader.load(origin.body)
        rows = [_row(row, rules) for row in body["result"]]
        return _with(origin, body | {"result": rows}), replace(target, rows=_rows(target.rows, rules))
    if not isinstance(target, Outcome) or error_of(target) is not None or operation.endpoint.read is Read.HEAD:
        return origin, target
    one: Callable[[Any], Any] = lambda value: _document(value, rules)  # noqa: E731
    if operation.endpoint.read is Read.MANY:
        one = lambda value: [_document(element, rules) for element in value]  # noqa: E731
    return _with(origin, one(json_reader.load(origin.body))), _with(target, one(json_reader.load(target.body)))


def without_baseline(
    difference: Difference, own: frozenset[tuple[str, str]]
) -> tuple[Difference | None, tuple[tuple[str, str], ...]]:
    """Return a difference without the (class, path) in which ArangoDB differs from itself, and what was removed."""
    left: list[Difference] = []
    taken: list[tuple[str, str]] = []
    for part in difference.each():
        kind = part.kind.value
        paths = tuple(path for path in part.paths if (kind, path) not in own)
        taken += [(kind, path) for path in part.paths or ("",) if (kind, path) in own]
        if paths or (not part.paths and (kind, "") not in own):
            left.append(replace(part, paths=paths))
    return (gathered(left), tuple(dict.fromkeys(taken))) if taken else (difference, ())


def _with(outcome: Outcome, value: Any) -> Outcome:
    return msgspec.structs.replace(outcome, body=json_values.dump(value))


def _rows(rows: TargetRows, rules: Sequence[Tolerance]) -> TargetRows:
    first, last = (
        None if run is None else [_row(row, rules) for row in run] for run in (rows.first_run, rows.last_run)
    )
    return replace(rows, rows=[_row(row, rules) for row in rows.rows], first_run=first, last_run=last)


def _row(row: Any, rules: Iterable[Tolerance]) -> Any:
    """Apply the rules of rows to a row, and those of its collection if it is a complete document."""
    for rule in rules:
        steps = tokens(rule.path)
        if steps[0] == "[]":
            row = _applied(row, steps[1:], rule)
        elif isinstance(row, dict) and str(row.get("_id", "")).startswith(rule.collection.partition("/")[2] + "/"):
            row = _applied(row, steps, rule)
    return None if row is _GONE else row


def _document(document: Any, rules: Iterable[Tolerance]) -> Any:
    for rule in rules:
        steps = tokens(rule.path)
        if steps[0] != "[]":
            document = _applied(document, steps, rule)
    return document


def _applied(value: Any, steps: tuple[str, ...], rule: Tolerance) -> Any:
    """Apply a rule where the steps lead; return _GONE if the value is to be left out."""
    if not steps:
        return _treated(value, rule)
    step, rest = steps[0], steps[1:]
    if step == "[]":
        if not isinstance(value, list):
            return value
        done = [_applied(element, rest, rule) for element in value]
        return [None if element is _GONE else element for element in done]
    if not isinstance(value, dict):
        return value
    changed = {
        name: _applied(child, rest, rule) if step in (name, ANY) and name not in ("_key", "_id", "_rev") else child
        for name, child in value.items()
    }
    return {name: child for name, child in changed.items() if child is not _GONE}


def _treated(value: Any, rule: Tolerance) -> Any:
    if rule.rule == "ignore":
        return _GONE
    if rule.rule == "set":
        if not isinstance(value, list):
            return value
        return [one for _, one in sorted({canonical(element): element for element in value}.items())]
    argument = rule.argument or 0.0
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if rule.rule == "round":
        return round(float(value), int(argument)) if number and math.isfinite(value) else value
    if number:
        return _cut(float(value), argument)
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return value
        aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        return _cut(aware.timestamp(), argument)
    return value


def _cut(seconds: float, precision: float) -> float:
    return math.floor(seconds / precision) * precision if precision > 0 and math.isfinite(seconds) else seconds
