"""SQL terms: what an expression is compiled to, parameters, names. Nothing of a query's text gets into SQL but by here.

A value of AQL is one of these in SQL:

    json     jsonb; SQL NULL and JSON null are both null
    bool     boolean, never NULL
    text     text, never NULL
    number   double precision; NULL is null
    int      bigint, never NULL
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from proxy import values
from proxy.aql.values import Value
from proxy.documents import escape_text

_PLAIN_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Refused(Exception):
    """What cannot be compiled exactly; the text names it."""


@dataclass(frozen=True, slots=True)
class Term:
    """A compiled expression. scalar: never an array or object. A constant has no text of its own, see `Parameters`.

    member: where it is an attribute of a jsonb, that and the attribute's name, both as SQL.
    """

    sql: str
    kind: str = "json"
    scalar: bool = False
    member: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Constant:
    """A value that is known before the statement runs."""

    value: Value


AnyTerm = Term | Constant


def escaped(value: Value) -> Value:
    """The value with its strings and names as they stand in jsonb."""
    if isinstance(value, str):
        return escape_text(value)
    if isinstance(value, list):
        return [escaped(item) for item in value]
    if isinstance(value, dict):
        return {escape_text(name): escaped(item) for name, item in value.items()}
    return value


def json_parameter(value: Value) -> str:
    """A value as the text of a jsonb parameter."""
    return values.dump(escaped(value)).decode()


_PLACE: Final = re.compile("\x01(\\d+)\x01")


class Parameters:
    """The values of a statement's parameters; equal ones are given once.

    While the statement is built a parameter is a mark that no name can contain; `numbered` makes $1, $2, … of those
    that the statement has in the end.
    """

    def __init__(self) -> None:
        self.values: list[object] = []
        self._known: dict[tuple[str, str], str] = {}

    def add(self, value: object, kind: str) -> str:
        """The parameter as a term: `$n::kind` in the end."""
        identity = (kind, repr(value))
        found = self._known.get(identity)
        if found is None:
            self.values.append(value)
            found = self._known[identity] = f"\x01{len(self.values)}\x01::{kind}"
        return found

    def numbered(self, sql: str) -> tuple[str, tuple[object, ...]]:
        """The statement with $1, $2, …, and their values."""
        order: dict[str, int] = {}

        def place(match: re.Match[str]) -> str:
            return f"${order.setdefault(match[1], len(order) + 1)}"

        text = _PLACE.sub(place, sql)
        return text, tuple(self.values[int(number) - 1] for number in order)

    def json(self, value: Value) -> str:
        """A value as jsonb."""
        return self.add(json_parameter(value), "jsonb")

    def name(self, name: str) -> str:
        """An attribute's name, as the right side of `->`: quoted where it is a plain identifier, else a parameter.

        Quoted, because an index on an expression is found by the text of the expression.
        """
        if _PLAIN_NAME.fullmatch(name) is not None:
            return f"'{name}'"
        return self.add(escape_text(name), "text")


def is_scalar(value: Any) -> bool:
    """Whether it is no array and no object."""
    return not isinstance(value, list | dict)
