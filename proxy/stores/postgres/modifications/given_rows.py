"""The rows of a compiled INSERT or UPSERT: computed by the evaluator, checked, and made columns of parameters.

What would be an error, or depends on what the query itself has written, is left to evaluation (`NotExactError`). Pure,
but for turns of the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from proxy.aql.compile.writes import KEY, CompiledWrite, GivenRows, Path
from proxy.aql.evaluate import rows_without_store
from proxy.aql.query_context import QueryContext
from proxy.aql.requests import QueryOptions
from proxy.aql.sql_terms import json_parameter, with_binds
from proxy.aql.values import equal, hash_key
from proxy.base.errors import ArangoError, Unsupported
from proxy.model.documents import SYSTEM, suspected, valid_handle, valid_key
from proxy.model.json_values import dump
from proxy.semantics.unique_index import UniqueIndex
from proxy.semantics.write_document import key_for
from proxy.semantics.write_rules import PLAIN
from proxy.stores.postgres.modifications.reserved_numbers import ReservedNumbers

Document = dict[str, Any]
_SYSTEM: Final = frozenset(SYSTEM)
_ENDS: Final = ("_from", "_to")
_LARGEST: Final = 4 << 20  # characters of all columns: more is evaluated, which holds a part of it in memory
_EXACT: Final = 1 << 53  # below, integers and doubles are equal if their digits are
_PAUSE: Final = 100  # rows between two turns of the event loop


class NotExactError(Exception):
    """The statement is not exact for these rows, or the rules of the collection: the query must be evaluated.

    The message is the reason, in words.
    """


class PropertiesChangedError(NotExactError):
    """The collection has other properties than the ones that were remembered."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row: the document to insert, what is looked for, the change of what is found, and the variables."""

    document: Document
    searched: Sequence[Any]
    change: Document | None
    variables: Sequence[Any]


@dataclass(frozen=True, slots=True)
class BoundWrite:
    """A statement with its parameters. binds: bind variables for its result.

    unchanged: documents that it finds may stay as they are. lacking: how many documents to insert have no key of their
    own. numbers: of which keys were made for these. properties: of the collection, as the statement follows them.
    """

    plan: CompiledWrite
    binds: Mapping[str, Any]
    unchanged: bool
    lacking: int
    numbers: ReservedNumbers
    properties: str = ""

    def used(self, inserted: int) -> tuple[int, int]:
        """Return how many keys were made of numbers, and the last one, if so many documents were inserted."""
        return (self.numbers.made, self.numbers.last) if inserted else (0, self.numbers.first)


@dataclass(slots=True)
class _Columns:
    """Lines of each column."""

    lines: dict[str, list[str]] = field(default_factory=dict)
    size: int = 0

    def add(self, name: str, line: str) -> None:
        """Add a line. Raise NotExactError if they are too many."""
        self.lines.setdefault(name, []).append(line)
        self.size += len(line)
        if self.size > _LARGEST:
            raise NotExactError("rows of many megabytes")


async def computed_rows(given: GivenRows, binds: Mapping[str, Any], options: QueryOptions) -> list[Row]:
    """Compute the rows. Raise NotExactError for an error or a warning: evaluation finds it in its turn."""
    context = QueryContext(dict(binds), replace(options, spools=None))
    own = given.change is not None and given.change.own
    rows: list[Row] = []
    try:
        for document, searched, *rest in rows_without_store(given.query, context):
            change = rest.pop(0) if own else None
            if document.__class__ is not dict or (own and change.__class__ is not dict):
                raise NotExactError("a document that is not an object")
            if given.search == (KEY,) and not searched:  # of an overwriteMode
                searched = [document.get("_key")]  # noqa: PLW2901 - the array is one for all rows
            rows.append(Row(document, searched, change, rest))
            if not len(rows) % _PAUSE:
                await asyncio.sleep(0)
    except (ArangoError, Unsupported) as error:
        raise NotExactError(f"rows that are an error: {error}") from None
    if context.warnings:
        raise NotExactError("rows that give a warning")
    return rows


def lacks_key(rows: Sequence[Row]) -> int:
    """Return how many documents have no key of their own."""
    return sum("_key" not in row.document for row in rows)


async def bound(
    plan: CompiledWrite,
    rows: Sequence[Row],
    binds: Mapping[str, Any],
    numbers: ReservedNumbers,
    uniques: Sequence[UniqueIndex],
    *,
    makes_keys: bool,
) -> BoundWrite:
    """Return the statement with its parameters. makes_keys: else no document without a key is expected to be inserted.

    Raise NotExactError.
    """
    given = plan.given
    assert given is not None
    if given.many:
        _check_apart(given, rows, uniques)
    columns, unchanged = _Columns(), given.change is not None and given.change.kind == "IGNORE"
    for place, row in enumerate(rows):
        try:
            made = "_key" not in row.document and not makes_keys
            key = "" if made else key_for(numbers, row.document, PLAIN)
        except ArangoError:
            raise NotExactError("a key that is not allowed") from None
        _add_document(columns, plan, row.document, key)
        _add_search(columns, given, row.searched)
        unchanged = _add_change(columns, plan, row) or unchanged
        for number, value in enumerate(row.variables):
            if f"w{number}" in given.columns:
                columns.add(f"w{number}", dump(value).decode())
        if place % _PAUSE == _PAUSE - 1:
            await asyncio.sleep(0)
    texts = {f"#{name}": _text(columns, name) for name in given.columns}
    values = {f"##{name}": [row.variables[number] for row in rows] for number, name in enumerate(given.variables)}
    known = {**binds, **texts, **values}
    parameters = tuple([with_binds(value, known) for value in plan.parameters])
    statement = replace(plan, parameters=parameters, given=None)
    return BoundWrite(statement, known, unchanged, lacks_key(rows), numbers)


def _text(columns: _Columns, name: str) -> str:
    """Return a column as one text. Raise NotExactError if it has what jsonb does not hold."""
    text = "\n".join(columns.lines.get(name, ()))
    raw = text.encode("utf-8", "surrogatepass")
    if suspected(raw):
        raise NotExactError("text that jsonb does not hold")
    return text


# ---- the columns of a row


def _add_document(columns: _Columns, plan: CompiledWrite, document: Document, key: str) -> None:
    columns.add("key", key)
    columns.add("body", _members(document))
    if plan.edge:
        columns.add("body_ends", _ends(document))


def _members(document: Document) -> str:
    """Return the attributes that are not the system's, as they are printed, after a comma; empty if there are none."""
    rest = {name: value for name, value in document.items() if name not in _SYSTEM}
    return "," + dump(rest).decode()[1:-1] if rest else ""


def _ends(document: Document) -> str:
    """Return `_from` and `_to` as they are printed. Raise NotExactError for an edge without them."""
    ends = {name: document.get(name) for name in _ENDS}
    if not all(map(valid_handle, ends.values())):
        raise NotExactError("an edge without ends")
    return dump(ends).decode()[1:-1] + ","


def _add_search(columns: _Columns, given: GivenRows, searched: Sequence[Any]) -> None:
    containing: Document = {}
    for number, (path, value) in enumerate(zip(given.search, searched, strict=True)):
        if path == KEY:
            if value is None and given.search == (KEY,):
                columns.add("k", "")  # a new key, which finds nothing
            elif isinstance(value, str) and valid_key(value):
                columns.add("k", value)
            else:
                raise NotExactError("a key that is not allowed")
            continue
        if isinstance(value, list | dict) or (isinstance(value, int | float) and abs(value) >= _EXACT):
            raise NotExactError("an UPSERT that looks for an array, an object or a large number")
        if value is None and path in given.indexed:
            raise NotExactError("an UPSERT that looks for null in an index")
        columns.add(f"s{number}", json_parameter(value))
        if value is not None:
            _put(containing, path, value)
    if "c" in given.columns:
        columns.add("c", json_parameter(containing))


def _put(document: Document, path: Path, value: Any) -> None:
    for name in path[:-1]:
        document = document.setdefault(name, {})
    document[path[-1]] = value


def _add_change(columns: _Columns, plan: CompiledWrite, row: Row) -> bool:
    """Add the columns of the change. Return True if it may leave its document as it is."""
    given = plan.given
    assert given is not None
    if given.change is None or row.change is None:
        return False
    if given.change.kind == "REPLACE":
        columns.add("change_body", _members(row.change))
        if plan.edge:
            columns.add("change_ends", _ends(row.change))
        return False
    patch = {name: value for name, value in row.change.items() if name not in _SYSTEM}
    ends = {name: row.change[name] for name in _ENDS if plan.edge and name in row.change}
    if plan.edge:
        columns.add("kept_ends", json_parameter(ends))
    changes = bool(patch or ends)
    if not all(dump(name) == b'"%s"' % name.encode("utf-8", "replace") for name in patch):
        raise NotExactError("an attribute name that is escaped")
    columns.add("patch", dump(patch).decode())
    columns.add("changes", "t" if changes else "")
    return not changes


# ---- rows that must not depend on each other


def _check_apart(given: GivenRows, rows: Sequence[Row], uniques: Sequence[UniqueIndex]) -> None:
    """Raise NotExactError if a row might find, or refuse, what another one has written."""
    if given.change is None:
        keys = [row.document["_key"] for row in rows if isinstance(row.document.get("_key"), str)]
        if len(set(keys)) < len(keys):
            raise NotExactError("documents with the same key")
        return
    looking = [row for row in rows if given.search != (KEY,) or row.searched != [None]]
    searched = [tuple(map(hash_key, row.searched)) for row in looking]
    if len(set(searched)) < len(searched):
        raise NotExactError("rows that look for the same document")
    heads = {path[0] for path in given.search}
    changed: set[str] = set(given.change.names)
    for row in looking:
        _check_found_again(given.search, row.document, row.searched)
        if row.change is not None:
            replaces = given.change.kind == "REPLACE"
            _check_found_again(_changed_paths(given.search, None if replaces else row.change), row.change, row.searched)
            changed.update(row.change)
    for index in uniques:
        fields = {path.partition(".")[0].removesuffix("[*]") for path in index.fields} - heads
        released = fields if given.change.kind == "REPLACE" else fields & changed
        if released and given.change.kind != "IGNORE":
            raise NotExactError("changes of unique values, which depend on their order")


def _changed_paths(search: Sequence[Path], patch: Document | None) -> list[Path | None]:
    """Return the paths that a change may have changed, in their places; None: it has not. patch: None for a REPLACE."""
    return [None if path == KEY or (patch is not None and path[0] not in patch) else path for path in search]


def _check_found_again(search: Sequence[Path | None], document: Document, searched: Sequence[Any]) -> None:
    """Raise NotExactError unless a document has the values that were looked for: no other row finds it then."""
    for path, value in zip(search, searched, strict=True):
        if path is not None and not equal(_at(document, path), value):
            raise NotExactError("a document that another row might find")


def _at(document: Any, path: Path) -> Any:
    for name in path:
        if document.__class__ is not dict:
            return None
        document = document.get(name)
    return document
