"""Requests that carry changes of whole collections to ArangoDB, and what their answers mean. Pure.

A request may run twice, since an answer may be lost. So "not found" and "duplicate name" mean that it was done before;
but a renaming to a name that ArangoDB still has, while the old one exists, is not done, and is tried again. A
definition (indexes, properties) is state: one request after another makes ArangoDB have what PostgreSQL has now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from proxy.base.errors import ArangoError
from proxy.reverse.batch import database_of
from sql.statements.outbox import ChangeRow

CREATE, DROP, RENAME, DEFINITION = "create", "drop", "rename", "definition"
_NOT_FOUND: Final = 1203
_DUPLICATE_NAME: Final = 1207
_INDEX_NOT_FOUND: Final = 1212
# what a new collection gets; the rest of its definition follows as a change of the definition
_ON_CREATION: Final = ("keyOptions", "waitForSync")
_COPIED: Final = ("schema", "computedValues", "waitForSync")
_OWN: Final = frozenset({"primary", "edge"})
_NOT_SENT: Final = ("id", "selectivityEstimate", "isNewlyCreated", "code", "error", "figures")
_COMPARED: Final = ("type", "fields", "unique", "sparse")


@dataclass(frozen=True, slots=True)
class ChangeRequest:
    """A request to ArangoDB. path: below /_db/<database>/_api/."""

    method: str
    database: str
    path: tuple[str, ...]
    params: Mapping[str, str]
    body: bytes


def request_of(change: ChangeRow) -> ChangeRequest:
    """Return the request of a creation, a drop or a renaming."""
    database, body = database_of(change.collection), orjson.loads(change.body)
    name = body["name"]
    if change.kind == DROP:
        return ChangeRequest("DELETE", database, ("collection", name), _system(name), b"")
    if change.kind == RENAME:
        return ChangeRequest(
            "PUT", database, ("collection", name, "rename"), {}, orjson.dumps({"name": body["new_name"]})
        )
    properties = body["properties"]
    definition: dict[str, Any] = {"name": name, "type": 3 if body["edge"] else 2}
    definition |= {known: properties[known] for known in _ON_CREATION if properties.get(known) is not None}
    if name.startswith("_"):
        definition["isSystem"] = True
    return ChangeRequest("POST", database, ("collection",), {}, orjson.dumps(definition))


def is_done(change: ChangeRow, error: ArangoError) -> bool:
    """Return True if an error means that an earlier request has done what the change demands."""
    if change.kind == CREATE:
        return error.number == _DUPLICATE_NAME
    return error.number == _NOT_FOUND


def is_tried_again(change: ChangeRow, error: ArangoError) -> bool:
    """Return True if an error shows that the change cannot be made yet: the new name is still another collection's."""
    return change.kind == RENAME and error.number == _DUPLICATE_NAME


def definition_request(
    collection: str,
    wanted: Mapping[str, Any],
    gone: Sequence[str],
    properties: Mapping[str, Any],
    indexes: Sequence[Mapping[str, Any]],
) -> ChangeRequest | None:
    """Return the next request that makes ArangoDB's definition PostgreSQL's; None if it is that already.

    wanted: properties and `indexes` of PostgreSQL. gone: names of indexes that PostgreSQL has dropped. properties,
    indexes: ArangoDB's. An index that only ArangoDB has, and PostgreSQL never had, stays.
    """
    database, _, name = collection.partition("/")
    mine = {index["name"]: index for index in wanted.get("indexes", ()) if index["type"] not in _OWN}
    theirs = {index["name"]: index for index in indexes if index["type"] not in _OWN}
    for each, index in theirs.items():
        replaced = each in mine and not _same(mine[each], index)
        if replaced or (each in gone and each not in mine):
            number = str(index["id"]).rpartition("/")[2]
            return ChangeRequest("DELETE", database, ("index", name, number), {}, b"")
    changed = {
        known: wanted[known] for known in _COPIED if (wanted.get(known) or None) != (properties.get(known) or None)
    }
    if changed:
        return ChangeRequest("PUT", database, ("collection", name, "properties"), {}, orjson.dumps(changed))
    for each, index in mine.items():
        if each not in theirs and not any(_same(index, other) for other in theirs.values()):
            sent = {known: value for known, value in index.items() if known not in _NOT_SENT}
            return ChangeRequest("POST", database, ("index",), {"collection": name}, orjson.dumps(sent))
    return None


def definition_is_done(error: ArangoError) -> bool:
    """Return True if an error of such a request means that it was done, or that there is no such collection."""
    return error.number in (_NOT_FOUND, _INDEX_NOT_FOUND)


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return all(one.get(known) == other.get(known) for known in _COMPARED)


def _system(name: str) -> dict[str, str]:
    return {"isSystem": "true"} if name.startswith("_") else {}
