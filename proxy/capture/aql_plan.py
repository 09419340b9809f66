"""AQL modifications: the request that also returns the keys, its answers without them, and the client's batches. Pure.

ArangoDB completes a modification before it answers the first batch (one with `stream` by the time its last batch was
read). What it wrote must become known before the client asks for more: so the proxy itself reads the cursor to its end,
and returns the client's rows in batches of the client's size, shaped as ArangoDB's (I6).

One that fails writes nothing, but for intermediate commits: after a number of operations or bytes, which a request may
name (`Asked.commits`), what was written until then stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from proxy.aql.parser import parse
from proxy.aql.returning_keys import keyed, removed_from, shows_versions
from proxy.base.errors import ArangoError
from proxy.model.cursor_requests import DEFAULT_BATCH, DEFAULT_TTL
from proxy.model.json_trim import cut, elements, members
from proxy.model.json_values import dump

_COMMIT: Final = "intermediateCommit"  # …Count, …Size
_BATCH: Final = DEFAULT_BATCH  # rows: the smallest batch that the proxy asks for


class _Body(msgspec.Struct):
    query: str
    bind_vars: dict[str, object] | None = msgspec.field(name="bindVars", default=None)
    batch_size: object = msgspec.field(name="batchSize", default=DEFAULT_BATCH)
    count: object = False
    stream: object = False
    ttl: object = DEFAULT_TTL
    options: object = None


class _Head(msgspec.Struct):
    id: str | None = None
    more: bool = msgspec.field(name="hasMore", default=False)


_BODY: Final = msgspec.json.Decoder(_Body)
_HEAD: Final = msgspec.json.Decoder(_Head)


@dataclass(frozen=True, slots=True)
class Asked:
    """The client's wishes for its cursor. size: rows of a batch. ttl: seconds that it is kept between two batches.

    count: answers have the number of all rows. retries: the batch that was sent last may be asked for again.
    stream: what is known only at the end (`extra`) is in the last batch. commits: it names limits of intermediate
    commits, so that what it wrote may stay although it fails.
    """

    size: int = DEFAULT_BATCH
    ttl: float = DEFAULT_TTL
    count: bool = False
    retries: bool = False
    stream: bool = False
    commits: bool = False


@dataclass(frozen=True, slots=True)
class Modification:
    """The plan to forward a modification and to read it back.

    body: the request's. collections: `database/name`, one for each key in a row. returns: the client gets rows.
    removed: collections that it removes from; in others its every write has a new revision.
    once: if it fails nothing was written. versions: each key comes with the document before and after.
    """

    body: bytes
    asked: Asked
    collections: tuple[str, ...]
    returns: bool
    removed: frozenset[str]
    once: bool
    versions: bool = False


@dataclass(frozen=True, slots=True)
class UnkeyedWrite:
    """A modification that cannot be made to return its keys, and is forwarded as it is. why: in words.

    removed: collections (`database/name`) that it removes from; what it writes to others has new revisions.
    body: the request's if its cursor must be read to the end (`stream`), else None.
    """

    why: str
    removed: frozenset[str]
    asked: Asked = Asked()
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class OriginBatch:
    """One answer of the origin. rows: the client's. keys: by collection. id: of the cursor that has more, else None.

    versions: for a rehearsal, `[key, old, new]` of each document that was written, as text.
    """

    rows: Sequence[bytes]
    keys: Mapping[str, tuple[str, ...]]
    id: str | None
    versions: Sequence[bytes] = ()


def plan(body: bytes, database: str, versions: bool = False) -> Modification | UnkeyedWrite | str:  # noqa: FBT001, FBT002
    """Return the plan for the body of POST /_api/cursor, or why it is not captured.

    versions: the answer is to show every document that was written, before and after.
    """
    try:
        wanted = _BODY.decode(body)
        query = parse(wanted.query)
        versions = versions and shows_versions(query)
        known = keyed(query, versions=versions)
    except (msgspec.DecodeError, UnicodeDecodeError, ArangoError):
        return "query not understood"
    asked, binds = _asked(wanted), wanted.bind_vars or {}
    if isinstance(known, str):
        found = removed_from(query)
        return UnkeyedWrite(
            known,
            frozenset(f"{database}/{_name(name, binds)}" for name in found),
            asked,
            _for_reading(body, wanted) if asked.stream else None,
        )
    names = tuple(f"{database}/{_name(name, binds)}" for name in known.collections)
    return Modification(
        _replaced(_for_reading(body, wanted), "query", dump(known.text)),
        asked,
        names,
        known.returns,
        frozenset(name for name, removes in zip(names, known.removes, strict=True) if removes),
        known.once and not asked.commits,
        versions,
    )


def read(plan: Modification | UnkeyedWrite, body: bytes) -> OriginBatch:
    """Parse an answer into the client's rows and the keys. Raise ValueError if it is not an answer of ArangoDB's."""
    try:
        head = _HEAD.decode(body)
        rows = elements(_member(body, "result"))
        found: dict[str, dict[str, None]] = {}
        versions: list[bytes] = []
        if isinstance(plan, Modification):
            parts = [elements(row) for row in rows]
            for part in parts:
                for name, shown in zip(plan.collections, part[1:] if plan.returns else part, strict=True):
                    key = shown
                    if plan.versions:
                        key = elements(shown)[0]
                        versions.append(shown)
                    if key != b"null":
                        found.setdefault(name, {})[msgspec.json.decode(key, type=str)] = None
            rows = [part[0] for part in parts] if plan.returns else []
    except msgspec.DecodeError as error:
        raise ValueError(f"not an answer to a query: {error}") from error
    return OriginBatch(
        rows, {name: tuple(some) for name, some in found.items()}, head.id if head.more else None, versions
    )


def whole(first: bytes, last: bytes, rows: Sequence[bytes]) -> bytes:
    """Return the client's answer with all rows: the origin's first one, without what concerns a cursor."""
    names = {member.name for member in members(first)}
    for name in ("id", "nextBatchId"):
        if name in names:
            first = cut(first, name)
    first = _replaced(_replaced(first, "result", b"[" + b",".join(rows) + b"]"), "hasMore", b"false")
    if "count" in names:
        first = _replaced(first, "count", b"%d" % len(rows))
    if "extra" not in names and (extra := extra_of(last)):
        first = first[:-1] + b',"extra":' + extra + b"}"
    return first


def part(rows: Sequence[bytes], asked: Asked, number: int, *, shown: str, total: int, extra: bytes) -> bytes:
    """Return the client's answer with one batch of several. number: the batch's, from 1. shown: the cursor's id."""
    more = number * asked.size < total
    members_of = [
        b'"result":[' + b",".join(rows) + b"]",
        b'"hasMore":true' if more else b'"hasMore":false',
        *([b'"id":"%s"' % shown.encode()] if more else ()),
        *([b'"count":%d' % total] if asked.count else ()),
        *([b'"extra":' + extra] if extra and not (asked.stream and more) else ()),
        b'"cached":false',
        *([b'"nextBatchId":"%d"' % (number + 1)] if more else ()),
        b'"error":false,"code":%d' % (201 if number == 1 else 200),
    ]
    return b"{" + b",".join(members_of) + b"}"


def extra_of(body: bytes) -> bytes:
    """Return the text of an answer's `extra`; empty if it has none."""
    return next((body[member.value : member.end] for member in members(body) if member.name == "extra"), b"")


def _asked(body: _Body) -> Asked:
    """Read the options as ArangoDB does; for a request that it refuses they do not matter."""
    options: Mapping[object, object] = body.options if isinstance(body.options, dict) else {}
    size, ttl = _number(body.batch_size), _number(body.ttl)
    streams = body.stream is True or options.get("stream") is True
    return Asked(
        int(size) if size >= 1 else DEFAULT_BATCH,
        ttl if ttl > 0 else DEFAULT_TTL,
        body.count is True and not streams,
        options.get("allowRetry") is True,
        streams,
        any(isinstance(name, str) and name.startswith(_COMMIT) for name in options),
    )


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0


def _for_reading(body: bytes, wanted: _Body) -> bytes:
    """Return the request with large batches and without retries: the proxy reads its cursor immediately, and once."""
    if 1 <= _number(wanted.batch_size) < _BATCH:
        body = _replaced(body, "batchSize", b"%d" % _BATCH)
    if isinstance(wanted.options, dict) and "allowRetry" in wanted.options:
        body = _replaced(body, "options", cut(_member(body, "options"), "allowRetry"))
    return body


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
