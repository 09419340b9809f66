"""LIMIT without SORT: any rows of the right number are valid, so that the origin's are searched among all there are.

The target executes the query with a larger LIMIT; the rows are the candidates. Only if
the LIMIT is at the outermost level with nothing but LET, SORT and RETURN behind it, so that rows are chosen and
nothing but their order is made of the choice; everything else stays not deterministic. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from proxy.aql.choices import LIMITED
from proxy.aql.lexer import Token, tokenize
from proxy.model import json_reader, json_values
from proxy.model.operations import Operation
from proxy.shadow.diff.documents import NotComparable, TargetRows

MOST: Final = 1000  # candidates
REASON: Final = LIMITED
_AFTER: Final = frozenset({"LET", "RETURN", "SORT"})
_STATEMENTS: Final = frozenset(
    ("FOR", "FILTER", "COLLECT", "LIMIT", "INSERT", "UPDATE", "REPLACE", "REMOVE", "UPSERT", "DISTINCT")
)
_OPENING, _CLOSING = frozenset("([{"), frozenset(")]}")


@dataclass(frozen=True, slots=True)
class Choice:
    """operation: the query with its LIMIT widened. offset, count: of the LIMIT that it had, or of several in a row."""

    operation: Operation
    offset: int
    count: int

    def rows(self, found: TargetRows) -> TargetRows:
        """Return what the query must return: any `count` of the candidates.

        Raise NotComparable if these are too many.
        """
        if len(found.rows) > MOST:
            raise NotComparable("not deterministic")
        number = min(self.count, max(0, len(found.rows) - self.offset))
        return TargetRows(found.rows[:number], (number,), None, found.rows, found.unordered, chosen=True)


def choice(operation: Operation) -> Choice | None:
    """Return the choice that a query makes; None if it is not of that form.

    Raise ArangoError if its text is invalid, ValueError for its body.
    """
    body = json_reader.load(operation.body)
    text, binds = body.get("query", ""), body.get("bindVars") or {}
    tokens = tokenize(text)
    places = [place for place, token in enumerate(tokens) if token.kind == "LIMIT"]
    full = (body.get("options") or {}).get("fullCount", False)  # counts the rows before the last of several
    if not places or _depth(tokens[: places[0]]) or (full and len(places) > 1):
        return None
    place = at = places[0]
    offset, count = 0, 1 << 62
    while tokens[at].kind == "LIMIT":
        at += 1
        numbers: list[Any] = [_number(tokens[at], binds)]
        if tokens[at + 1].kind == ",":
            at += 2
            numbers.append(_number(tokens[at], binds))
        if not all(type(number) is int and number >= 0 for number in numbers):
            return None
        skipped, taken = (0, numbers[0]) if len(numbers) == 1 else numbers
        offset, count = offset + skipped, max(0, min(taken, count - skipped))
        at += 1
    following = tokens[at:]
    if following[0].kind not in _AFTER or any(token.kind in _STATEMENTS for token in following):
        return None
    widened = f"{text[: tokens[place].offset]}LIMIT {MOST + 1} {text[following[0].offset :]}"
    named = {token.value.lstrip("@") for token in (*tokens[:place], *following) if token.kind in ("bind", "source")}
    kept = {name: value for name, value in binds.items() if name.lstrip("@") in named}
    asked = json_values.dump(body | {"query": widened, "bindVars": kept})
    return Choice(msgspec.structs.replace(operation, body=asked), offset, count)


def _depth(tokens: Sequence[Token]) -> int:
    return sum((token.kind in _OPENING) - (token.kind in _CLOSING) for token in tokens)


def _number(token: Token, binds: dict[str, Any]) -> Any:
    return binds.get(token.value) if token.kind == "bind" else token.value if token.kind == "num" else None
