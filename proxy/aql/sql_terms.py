"""SQL terms: what an expression compiles to, and the parameters of a statement.

The text of a query reaches SQL only through this module, as a parameter or as a checked attribute name. A value of AQL
has one of these kinds in SQL:

    json     jsonb; SQL NULL and JSON null both mean null
    bool     boolean, never NULL
    text     text, never NULL
    number   double precision; NULL means null
    int      bigint, never NULL
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from proxy.aql.values import Value
from proxy.model import json_values
from proxy.model.documents import escape_text

_PLAIN_TEXT: Final = re.compile(r"[A-Za-z0-9 _.:/+@-]*")  # that JSON prints as it is
_PLAIN_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class NotCompilable(Exception):
    """An expression or statement that has no exact SQL form; the message names it."""


@dataclass(frozen=True, slots=True)
class Term:
    """A compiled expression.

    scalar: never an array or object. member: of an attribute of a jsonb, the jsonb and the attribute's name, as SQL.
    """

    sql: str
    kind: str = "json"
    scalar: bool = False
    member: tuple[str, str] | None = None


def false_after(term: Term | ConstantTerm) -> str:
    """Return a false condition that still computes the term if that can refuse a value (a call that warns)."""
    if isinstance(term, ConstantTerm) or "(" not in term.sql:
        return "false"
    return f"(CASE WHEN ({term.sql}) IS NULL THEN false ELSE false END)"


class ConstantTerm:
    """A value that is known before the statement runs; its SQL is a parameter. kind: see `kind_of`."""

    __slots__ = ("_value", "kind")

    def __init__(self, value: Value, kind: str | None = None) -> None:
        self._value = value
        self.kind = kind_of(value) if kind is None else kind

    @property
    def value(self) -> Value:
        """The value."""
        return self._value


class BoundTerm(ConstantTerm):
    """The value of a bind variable.

    A cached statement is found by the kind of the variable, not by its value: code that reads `value` ties the
    statement to that value (see `compile.outcomes`).
    """

    __slots__ = ("_binds", "name")

    def __init__(self, name: str, binds: Binds) -> None:
        super().__init__(None, binds.kind(name))
        self.name = name
        self._binds = binds

    @property
    def value(self) -> Value:
        return self._binds[self.name]


AnyTerm = Term | ConstantTerm


def escaped(value: Value) -> Value:
    """Return the value with its strings and attribute names escaped as jsonb stores them."""
    if isinstance(value, str):
        return escape_text(value)
    if isinstance(value, list):
        return [escaped(item) for item in value]
    if isinstance(value, dict):
        return {escape_text(name): escaped(item) for name, item in value.items()}
    return value


def json_parameter(value: Value) -> str:
    """Return a value as the text of a jsonb parameter."""
    if value.__class__ is str and _PLAIN_TEXT.fullmatch(value):
        return f'"{value}"'
    return json_values.dump(escaped(value)).decode()


@dataclass(frozen=True, slots=True)
class Deferred:
    """A parameter's value, computed from the bind variables of each run. identity: equal ones share a parameter."""

    make: Callable[[Mapping[str, Any]], object]
    identity: Hashable


def with_binds(value: object, binds: Mapping[str, Any]) -> Any:
    """Return the value; a deferred one is computed from the bind variables."""
    return value.make(binds) if isinstance(value, Deferred) else value


class Binds(Mapping[str, Any]):
    """Bind variables that record in `seen` whose values were read."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._given = given
        self.seen: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        value = self._given[name]
        self.seen.add(name)
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._given)

    def __len__(self) -> int:
        return len(self._given)

    def __contains__(self, name: object) -> bool:
        return name in self._given

    def kind(self, name: str) -> str:
        """Return the kind of a variable's value, without recording that it was read."""
        return kind_of(self._given[name])


def kind_of(value: Value) -> str:
    """Return the kind of a value: all that a cached statement may depend on.

    null, bool, float; count: an integer from 0 to 2^53, int: any other integer; text; odd: text that jsonb cannot hold
    unchanged; texts, scalars: arrays of only such values (none of them odd); array; object.
    """
    if value is None:
        return "null"
    if isinstance(value, str):
        return "text" if plain_text(value) else "odd"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "count" if 0 <= value < 1 << 53 else "int"
    if isinstance(value, float):
        return "float"
    if isinstance(value, list):
        found = set(map(kind_of, value))
        return "texts" if found == {"text"} else "scalars" if found <= _SCALARS else "array"
    return "object"


_SCALARS: Final = frozenset({"null", "bool", "count", "int", "float", "text"})
SCALAR_KINDS: Final = _SCALARS | {"odd"}
_ODD: Final = re.compile("[\x00\ufdd0\ud800-\udfff]")


def plain_text(value: str) -> bool:
    """Return True if jsonb holds the text unchanged."""
    return _ODD.search(value) is None


_PLACE: Final = re.compile("\x01(\\d+)\x01")


class Parameters:
    """The values of a statement's parameters; equal values share a parameter.

    While the statement is under construction, a parameter is a mark that no name can contain. `numbered` replaces the
    marks that the finished statement contains by $1, $2, …
    """

    def __init__(self) -> None:
        self.values: list[object] = []
        self._known: dict[Hashable, str] = {}

    def add(self, value: object, kind: str) -> str:
        """Add a parameter and return its mark, which becomes `$n::kind`."""
        identity: Hashable = (kind, value.identity if isinstance(value, Deferred) else repr(value))
        found = self._known.get(identity)
        if found is None:
            self.values.append(value)
            found = self._known[identity] = f"\x01{len(self.values)}\x01::{kind}"
        return found

    def numbered(self, sql: str) -> tuple[str, tuple[object, ...]]:
        """Return the statement with $1, $2, …, and their values."""
        order: dict[str, int] = {}

        def place(match: re.Match[str]) -> str:
            return f"${order.setdefault(match[1], len(order) + 1)}"

        text = _PLACE.sub(place, sql)
        return text, tuple(self.values[int(number) - 1] for number in order)

    def constant(self, term: ConstantTerm, kind: str, make: Callable[[Any], object], what: Hashable = "") -> str:
        """Add `make(value)` as a parameter; of a bind variable it is computed for each run.

        what: distinguishes one `make` from another.
        """
        if isinstance(term, BoundTerm):
            name = term.name
            return self.add(Deferred(lambda binds: make(binds[name]), (name, what)), kind)
        return self.add(make(term.value), kind)

    def json(self, term: ConstantTerm) -> str:
        """Add a constant as a jsonb parameter."""
        return self.constant(term, "jsonb", json_parameter)

    def name(self, name: str) -> str:
        """Return an attribute's name as the right operand of `->`: a plain identifier quoted, else a parameter.

        Quoted, because PostgreSQL finds an index on an expression by the text of the expression.
        """
        if _PLAIN_NAME.fullmatch(name) is not None:
            return f"'{name}'"
        return self.add(escape_text(name), "text")
