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
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from proxy.aql.values import Value
from proxy.model import json_values
from proxy.model.documents import escape_text

_PLAIN_TEXT: Final = re.compile(r"[A-Za-z0-9 _.:/+@-]*")  # that JSON prints as it is
_PLAIN_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class NotCompilable(Exception):
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


class Constant:
    """A value that is known before the statement runs. kind: see `kind_of`."""

    __slots__ = ("_value", "kind")

    def __init__(self, value: Value, kind: str | None = None) -> None:
        self._value = value
        self.kind = kind_of(value) if kind is None else kind

    @property
    def value(self) -> Value:
        """The value itself."""
        return self._value


class Bound(Constant):
    """The value of a bind variable. Its kind is part of what a statement is kept by, its value is not: whoever looks at
    that, by `value`, makes the statement one of this very value (see `cached`)."""

    __slots__ = ("_binds", "name")

    def __init__(self, name: str, binds: Binds) -> None:
        super().__init__(None, binds.kind(name))
        self.name = name
        self._binds = binds

    @property
    def value(self) -> Value:
        return self._binds[self.name]


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
    if value.__class__ is str and _PLAIN_TEXT.fullmatch(value):
        return f'"{value}"'
    return json_values.dump(escaped(value)).decode()


@dataclass(frozen=True, slots=True)
class Deferred:
    """A parameter's value that is worked out of the bind variables of each run. identity: equal ones are given once."""

    make: Callable[[Mapping[str, Any]], object]
    identity: Hashable


def settled(value: object, binds: Mapping[str, Any]) -> Any:
    """A value, or what a deferred one is with these bind variables."""
    return value.make(binds) if isinstance(value, Deferred) else value


class Binds(Mapping[str, Any]):
    """Bind variables that note whose values were looked at."""

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
        """The kind of a variable's value, which is not looked at."""
        return kind_of(self._given[name])


def kind_of(value: Value) -> str:
    """What a statement may depend on of a value that it is kept for.

    null, bool, float; count: an integer from 0 to 2^53, int: any other; text; odd: text that jsonb does not hold as it
    is; texts, scalars: arrays of such alone (and no odd one); array; object.
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
    """Whether a text stands in jsonb as it is."""
    return _ODD.search(value) is None


_PLACE: Final = re.compile("\x01(\\d+)\x01")


class Parameters:
    """The values of a statement's parameters; equal ones are given once.

    While the statement is built a parameter is a mark that no name can contain; `numbered` makes $1, $2, … of those
    that the statement has in the end.
    """

    def __init__(self) -> None:
        self.values: list[object] = []
        self._known: dict[Hashable, str] = {}

    def add(self, value: object, kind: str) -> str:
        """The parameter as a term: `$n::kind` in the end."""
        identity: Hashable = (kind, value.identity if isinstance(value, Deferred) else repr(value))
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

    def constant(self, term: Constant, kind: str, make: Callable[[Any], object], what: Hashable = "") -> str:
        """What `make` gives of a constant; of a bind variable, of each run's. what: tells one `make` from another."""
        if isinstance(term, Bound):
            name = term.name
            return self.add(Deferred(lambda binds: make(binds[name]), (name, what)), kind)
        return self.add(make(term.value), kind)

    def json(self, term: Constant) -> str:
        """A constant as jsonb."""
        return self.constant(term, "jsonb", json_parameter)

    def name(self, name: str) -> str:
        """An attribute's name, as the right side of `->`: quoted where it is a plain identifier, else a parameter.

        Quoted, because an index on an expression is found by the text of the expression.
        """
        if _PLAIN_NAME.fullmatch(name) is not None:
            return f"'{name}'"
        return self.add(escape_text(name), "text")
