"""A named statement with the type of its rows.

    BUDGETS = Statement("auto_rollback", "all", AutoRollbackRow)  rows of several columns: a NamedTuple
    KEYS = Statement("shadow", "some_keys", str)      one column: its type
    ARM = Statement("auto_rollback", "arm")                   a command: no rows
    COUNT = Single("store", "count", int)             always exactly one row

The text is in `queries/{topic}.sql`; the declarations are in `statements/{topic}.py`. `Database.fetch` and `fetchrow`
take a statement and return its row type; `fetchval` takes a `Single`. tests/integration/test_statements.py compares
every declaration with what PostgreSQL reports of the prepared statement.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import Any, Final, Generic, Self, TypeVar, overload

from sql.loader import queries

RowT_co = TypeVar("RowT_co", covariant=True)
_NAME: Final = r'(?:[a-z_][a-z0-9_$]*|"(?:[^"\0]|"")+")'
_DESCRIPTION: Final = re.compile(r"\A(?:--[^\n]*\n)+")
_RELATION: Final = re.compile(rf"(?:({_NAME})\.)?({_NAME})")


class Statement(Generic[RowT_co]):
    """One statement of `queries/{topic}.sql` and the type of its rows; immutable.

    row: a NamedTuple with a field for each column; the type of the only column; `tuple` for a statement whose columns
    depend on a blank; None for a command. make: the row from a record of the client library.
    """

    __slots__ = ("make", "name", "row", "text", "topic")

    @overload
    def __init__(self: Statement[None], topic: str, name: str) -> None: ...
    @overload
    def __init__(self, topic: str, name: str, row: type[RowT_co]) -> None: ...
    def __init__(self, topic: str, name: str, row: type[Any] | None = None) -> None:
        """Raise KeyError if there is no such statement."""
        self.topic = topic
        self.name = name
        self.row = row
        self.text = queries(topic)[name]
        self.make: Callable[[Any], RowT_co] = _maker(row)

    def on(self, relation: str) -> Self:
        """Return the statement for one document table. Raise ValueError if `relation` is not a quoted name.

        `relation` is a value of `_crossfade.collection.relation`, which PostgreSQL qualified and quoted.
        """
        return self._with_text(_on(self.text, "relation", relation))

    def fill(self, **blanks: str) -> Self:
        """Return the statement with SQL in its blanks, in the order given: what comes later is not filled again."""
        text = self.text
        for blank, sql in blanks.items():
            text = text.replace(f"{{{blank}}}", sql)
        return self._with_text(text)

    @property
    def without_description(self) -> str:
        """The text alone, to be shown to people."""
        return _DESCRIPTION.sub("", self.text)

    def rows(self, records: Iterable[Any]) -> list[RowT_co]:
        """Return the rows of the client library's records."""
        return list(records) if self.make is _as_it_is else list(map(self.make, records))

    def _with_text(self, text: str) -> Self:
        filled = object.__new__(type(self))
        filled.topic, filled.name, filled.row = self.topic, self.name, self.row
        filled.make, filled.text = self.make, text
        return filled

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.topic!r}, {self.name!r})"


class Single(Statement[RowT_co]):
    """A statement that gives exactly one row."""

    __slots__ = ()


def unpacked(topic: str, name: str, row: type[Any]) -> Statement[Any]:
    """Return a statement whose rows are the client library's records as they are, which callers unpack.

    For large results: to make a NamedTuple of a row takes 0.2 µs. Annotate the declaration with a tuple of the types of
    the fields of `row`.
    """
    statement: Statement[Any] = Statement(topic, name, row)
    statement.make = _as_it_is
    return statement


@functools.lru_cache(maxsize=4096)
def names_of(relation: str) -> tuple[str | None, str]:
    """Return the schema and the name of a table, without quotes. Raise ValueError if it is not a quoted name."""
    found = _RELATION.fullmatch(relation)
    if found is None:
        raise ValueError(f"{relation!r} is not the quoted name of a table")
    schema, table = found.groups()
    return None if schema is None else _unquoted(schema), _unquoted(table)


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name[0] == '"' else name


@functools.lru_cache(maxsize=4096)
def _on(text: str, blank: str, relation: str) -> str:
    names_of(relation)
    return text.replace(f"{{{blank}}}", relation)


def _maker(row: type[Any] | None) -> Callable[[Any], Any]:
    if row is None:
        return _no_row
    if row is tuple:
        return tuple
    if isinstance(row, type) and issubclass(row, tuple):
        # past NamedTuple's own constructor, which would cost as much as the rest: the columns are compared in a test
        return functools.partial(tuple.__new__, row)
    return itemgetter(0)


def _as_it_is(record: Any) -> Any:
    return record


def _no_row(_record: object) -> None:
    return None
