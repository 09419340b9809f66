"""AQL modifications: the request that also tells the keys, and its answers without them (I6). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from proxy.aql.capture import keyed, removed_from
from proxy.aql.parser import parse
from proxy.errors import ArangoError
from proxy.mirror.trim import cut, elements, members
from proxy.values import dump

_DEFAULT_TTL: Final = 30.0


class _Options(msgspec.Struct):
    stream: bool = False
    allow_retry: bool = msgspec.field(name="allowRetry", default=False)
    profile: object = 0


class _Body(msgspec.Struct):
    query: str
    bind_vars: dict[str, object] = msgspec.field(name="bindVars", default_factory=dict)
    stream: bool = False
    ttl: float = _DEFAULT_TTL
    options: _Options = msgspec.field(default_factory=_Options)


class _Head(msgspec.Struct):
    id: str | None = None
    more: bool = msgspec.field(name="hasMore", default=False)


_BODY: Final = msgspec.json.Decoder(_Body)
_HEAD: Final = msgspec.json.Decoder(_Head)


@dataclass(frozen=True, slots=True)
class Modification:
    """How a modification is forwarded and read back.

    body: the request's. collections: `database/name`, one for each key in a row. returns: the client gets rows.
    revised: collections whose every write has a new revision. once: where it fails nothing was written.
    ttl: seconds that the origin keeps a cursor. retries: the client may ask for the last batch again.
    """

    body: bytes
    collections: tuple[str, ...]
    returns: bool
    revised: frozenset[str]
    once: bool
    ttl: float
    retries: bool


@dataclass(frozen=True, slots=True)
class Untold:
    """A modification that cannot be made to tell its keys, and is forwarded as it is. why: in words.

    removed: collections (`database/name`) that it removes from; what it writes to others has new revisions.
    """

    why: str
    removed: frozenset[str]


@dataclass(frozen=True, slots=True)
class Batch:
    """One answer. body: for the client. keys: by collection. id: of the cursor that has more, None where none has."""

    body: bytes
    keys: Mapping[str, tuple[str, ...]]
    id: str | None


def plan(body: bytes, database: str) -> Modification | Untold | str:
    """The plan for the body of POST /_api/cursor, or why it is not captured."""
    try:
        asked = _BODY.decode(body)
        query = parse(asked.query)
        known = keyed(query)
    except (msgspec.DecodeError, UnicodeDecodeError, ArangoError):
        return "query not understood"
    if asked.stream or asked.options.stream:  # it writes as its batches are read
        return "streaming"
    if isinstance(known, str):
        found = removed_from(query)
        return Untold(known, frozenset(f"{database}/{_name(name, asked.bind_vars)}" for name in found))
    names = tuple(f"{database}/{_name(name, asked.bind_vars)}" for name in known.collections)
    removed = {name for name, removes in zip(names, known.removes, strict=True) if removes}
    return Modification(
        _replaced(body, "query", dump(known.text)),
        names,
        known.returns,
        frozenset(names) - removed,
        known.once,
        asked.ttl,
        asked.options.allow_retry,
    )


def read(plan: Modification, body: bytes, shown_id: str) -> Batch:
    """Takes the keys out of an answer. `shown_id`: what the client calls the cursor. Raises ValueError."""
    try:
        head = _HEAD.decode(body)
        rows = [elements(row) for row in elements(_member(body, "result"))]
        found: dict[str, dict[str, None]] = {}
        for row in rows:
            for name, key in zip(plan.collections, row[1:] if plan.returns else row, strict=True):
                if key != b"null":
                    found.setdefault(name, {})[msgspec.json.decode(key, type=str)] = None
    except msgspec.DecodeError as error:
        raise ValueError(f"no answer to a query: {error}") from error
    keys = {name: tuple(some) for name, some in found.items()}
    if plan.returns:
        body = _replaced(body, "result", b"[" + b",".join(row[0] for row in rows) + b"]")
        if head.more and head.id is not None:
            body = _replaced(body, "id", dump(shown_id))
    return Batch(body, keys, head.id if head.more else None)


def without_rows(first: bytes, last: bytes) -> bytes:
    """What the client gets of a query without RETURN: the first answer, all rows and the cursor taken out."""
    names = {member.name for member in members(first)}
    for name in ("id", "nextBatchId"):
        if name in names:
            first = cut(first, name)
    first = _replaced(_replaced(first, "result", b"[]"), "hasMore", b"false")
    if "count" in names:
        first = _replaced(first, "count", b"0")
    if "extra" not in names and any(member.name == "extra" for member in members(last)):
        first = first[:-1] + b',"extra":' + _member(last, "extra") + b"}"
    return first


def _name(name: str, binds: Mapping[str, object]) -> str:
    return str(binds.get(name[1:])) if name.startswith("@") else name


def _member(body: bytes, name: str) -> bytes:
    for member in members(body):
        if member.name == name:
            return body[member.value : member.end]
    raise ValueError(f"no {name} in an answer")


def _replaced(body: bytes, name: str, value: bytes) -> bytes:
    for member in members(body):
        if member.name == name:
            return body[: member.value] + value + body[member.end :]
    return body
