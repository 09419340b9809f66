"""Document writes: what to ask ArangoDB for beside what the client asked, and what its answer says was written. Pure.

`plan` before forwarding, `parse_answer` afterwards. `returnNew=true` is added and `silent` removed, so that every
version that was written comes back; `parse_answer` takes out again what the client did not ask for (I6) and returns the
changes. Rules: protocol page, section 2 and "Surprises"; mirror-protocol, answer 8.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_plus

import msgspec

from proxy.base.errors import ArangoError
from proxy.capture.refusals import SHOWING, conflicting, error, not_begun
from proxy.model.documents import key_of
from proxy.model.endpoint import Effect, Verb
from proxy.model.json_trim import cut, cut_new, elements, elements_in_pieces, members
from proxy.model.message import Headers, Request, header
from proxy.model.operations import Change, Operation
from proxy.model.parsed_answer import ParsedAnswer, version_of
from proxy.model.revision import INVALID, decode_rev
from proxy.routing.header_obstacles import Obstacle, header_obstacle
from proxy.wire.velocypack import to_json

# a body in VelocyPack has its keys read from the answer
_ALONE: Final = frozenset({Obstacle.PACKED_BODY})
_IN_TRANSACTION: Final = _ALONE | {Obstacle.IN_TRANSACTION}
_TRUE: Final = frozenset({"true", "1", "yes", "on", "y"})


class _Keyed(msgspec.Struct, gc=False):
    key: str | None = msgspec.field(name="_key", default=None)


class _Answer(msgspec.Struct, gc=False):
    identity: str = msgspec.field(name="_id", default="")
    key: str = msgspec.field(name="_key", default="")
    rev: str = msgspec.field(name="_rev", default="")
    old_rev: str = msgspec.field(name="_oldRev", default="")
    error: bool = False
    new: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)


_KEYED: Final = msgspec.json.Decoder(_Keyed)
_ANSWER: Final = msgspec.json.Decoder(_Answer)


@dataclass(frozen=True, slots=True)
class Opaque:
    """A write that is not captured: forwarded as it is, `collections` (`db/name`, `db/*`) get a mark (I10)."""

    reason: str
    collections: tuple[str, ...]


class DocumentPlan(msgspec.Struct, frozen=True, gc=False):
    """The plan to forward one document write and to read it back.

    collection: `database/name`. keys: those known before the answer; empty if ArangoDB makes them.
    removes: the operation removes. wants_new, silent: what the client asked for. rehearsed: the old documents are asked
    for as well; drops_old: the client did not.
    """

    collection: str
    keys: tuple[str, ...]
    removes: bool
    wants_new: bool
    silent: bool
    rehearsed: bool = False
    drops_old: bool = False

    def for_rehearsal(self, operation: Operation) -> DocumentPlan:
        """Return the plan that also asks for what is replaced or removed, see `proxy.rehearsal`."""
        return msgspec.structs.replace(self, rehearsed=True, drops_old=not flag(operation.params.get("returnOld")))

    def rewritten(self, request: Request) -> Request:
        """Return the request to send: other parameters, and no Accept-Encoding, since the answer must be readable."""
        headers = [pair for pair in request.headers if len(pair[0]) != 15 or pair[0].lower() != b"accept-encoding"]
        return Request(
            request.method, self.target(request.target), headers, request.body, request.version, request.peer
        )

    def target(self, target: bytes) -> bytes:
        """Return the target with `returnNew` (unless it removes) and without `silent`; the rest untouched.

        For a rehearsal it has `returnOld` as well.
        """
        path, _, query = target.partition(b"?")
        kept = [part for part in query.split(b"&") if part and not self._ours(part)] if query else []
        if not self.removes:
            kept.append(b"returnNew=true")
        if self.rehearsed:
            kept.append(b"returnOld=true")
        return path + b"?" + b"&".join(kept) if kept else path

    def _ours(self, part: bytes) -> bool:
        name = part.partition(b"=")[0]
        if b"%" in name or b"+" in name:
            name = unquote_plus(name.decode("latin-1")).encode("latin-1", "replace")
        if name == b"returnOld":
            return self.rehearsed
        return name == b"silent" or (name == b"returnNew" and not self.removes)

    def shown(self, item: bytes, new: bytes) -> bytes:
        """Return what the client asked for of the answer for one document. new: the text of `new` in it, or empty."""
        if new and not self.wants_new:
            item = cut_new(item, new)
        return cut(item, "old") if self.drops_old else item


_BATCH: Final = 100  # documents of an answer that are parsed between two turns of the event loop
_PIECE: Final = 128 << 10  # bytes of them


def plan(operation: Operation, *, transaction: bool = False) -> DocumentPlan | Opaque:
    """Return the plan for a document write, or why there is none. transaction: plan one in a stream transaction too."""
    endpoint, collection = operation.endpoint, operation.qualified
    if endpoint.effect is not Effect.WRITE:
        return Opaque(f"{endpoint.name} is not captured", (collection or f"{operation.database}/*",))
    if collection is None or operation.collection is None or operation.collection[:1].isdigit():
        return Opaque("the collection is not named", (f"{operation.database}/*",))
    if operation.headers:
        reason = header_obstacle(operation, writes=True, allowed=_IN_TRANSACTION if transaction else _ALONE)
        if reason:
            return Opaque(reason, (collection,))
    params, key = operation.params, operation.key
    if params and flag(params.get("isRestore")):
        return Opaque("revisions given by the client", (collection,))
    return DocumentPlan(
        collection,
        (key,) if key is not None else body_keys(operation),
        endpoint.verb is Verb.REMOVE,
        flag(params.get("returnNew")),
        flag(params.get("silent")),
    )


async def parse_answer_in_turns(plan: DocumentPlan, status: int, headers: Headers, body: bytes) -> ParsedAnswer:
    """Parse ArangoDB's answer to a planned write. Never raises for what an ArangoDB can answer.

    An answer of many documents is parsed some at a time, with turns of the event loop between. Raise ValueError if a
    2xx body is not JSON: the caller then treats the outcome as unknown.
    """
    steps = _parsing(plan, status, headers, body)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            captured: ParsedAnswer = end.value
            return captured
        await asyncio.sleep(0)


def _parsing(plan: DocumentPlan, status: int, headers: Headers, body: bytes) -> Generator[None, None, ParsedAnswer]:
    """Parse in steps of a few milliseconds."""
    if status >= 400:
        late = status >= 500 and not not_begun(status, body)
        return ParsedAnswer(body, headers, complete=not late, late=late)
    body, headers = _decompressed(body, headers)
    if body[:1] == b"{":
        return (yield from _parse_one(plan, headers, body))
    return (yield from _parse_many(plan, headers, body))


def shown_keys(plan: DocumentPlan, request_body: bytes, status: int, answer: ParsedAnswer) -> list[str]:
    """Return the keys of documents whose state an answer shows by refusing a write: there, not there, or another.

    Of an array each element may be refused. The document that a unique index conflicts with has another key.
    """
    if status in (404, 409, 412):
        return list(dict.fromkeys((*plan.keys, *conflicting(answer.body))))
    if not answer.refusals:
        return []
    found: dict[str, None] = {}
    keys = plan.keys or _element_keys(request_body)
    for position, refusal in answer.refusals:
        if error(refusal)[0] in SHOWING:
            key = keys[position] if position < len(keys) else None
            found |= dict.fromkeys((*([key] if key else ()), *conflicting(refusal)))
    return list(found)


def _element_keys(body: bytes) -> list[str | None]:
    """Return the key that each element of an array names; None for one that names none."""
    try:
        return [_named(item, insert=False) for item in elements(body)]
    except ValueError:
        return []


# ---- before


def flag(value: str | None) -> bool:
    """Read a boolean parameter as ArangoDB does; python-arango sends 1 and 0."""
    return value is not None and value.strip().lower() in _TRUE


def _readable(operation: Operation) -> bytes:
    """Return the body as JSON, for its keys; empty if it is VelocyPack that cannot be read. Dates become numbers."""
    if "velocypack" not in operation.headers.get("content-type", ""):
        return operation.body
    try:
        return to_json(operation.body)
    except ArangoError:
        return b""


def body_keys(operation: Operation) -> tuple[str, ...]:
    """Return the keys that a body names; none if one is missing: ArangoDB makes it, or refuses the body."""
    body, insert = _readable(operation), operation.endpoint.verb is Verb.INSERT
    try:
        if body[:1] == b"{":
            key = _named(body, insert=insert)
            return () if key is None else (key,)
        found = []
        for item in elements(body) if body.lstrip()[:1] == b"[" else [body]:
            key = _named(item, insert=insert)
            if key is None:
                return ()
            found.append(key)
    except ValueError:
        return ()
    return tuple(found)


def _named(item: bytes, *, insert: bool) -> str | None:
    """Return the key that one element names; an insert only by `_key`. Raise ValueError if it is not JSON."""
    try:
        key = _KEYED.decode(item).key
        if key is not None or insert:
            return key
    except msgspec.ValidationError:
        if insert:
            return None
    value = msgspec.json.decode(item)
    # ArangoDB 3.12 finds nothing by `_id` alone; to name one key too many is harmless
    return key_of(value.get("_id") if isinstance(value, dict) else value)


# ---- after


def _parse_one(plan: DocumentPlan, headers: Headers, body: bytes) -> Generator[None, None, ParsedAnswer]:
    answer, new = _read(body)
    if len(body) > _PIECE:
        yield
    change, complete = _change(plan, answer, new)
    if plan.silent:
        body, headers = b"{}", [pair for pair in headers if pair[0].lower() not in (b"etag", b"location")]
    else:
        body = plan.shown(body, new)
    return ParsedAnswer(
        body, headers, () if change is None else (change,), (answer.key,) if answer.key else (), complete
    )


def _parse_many(plan: DocumentPlan, headers: Headers, body: bytes) -> Generator[None, None, ParsedAnswer]:
    items: list[bytes] = []
    changes: list[Change] = []
    keys: list[str] = []
    kept: list[bytes] = []
    refusals: list[tuple[int, bytes]] = []
    complete = True
    for some in _some(body):
        if items:
            yield
        first = len(items)
        items += some
        for position, item in enumerate(some, first):
            answer, new = _read(item)
            if answer.error:
                kept.append(item)
                refusals.append((position, item))
                continue
            change, known = _change(plan, answer, new)
            complete = complete and known
            if change is not None:
                changes.append(change)
            if answer.key:
                keys.append(answer.key)
            if not plan.silent:
                kept.append(plan.shown(item, new))
    if plan.silent and items:
        body = b"[" + b",".join(kept) + b"]" if kept else b"{}"
    elif plan.drops_old or (not plan.wants_new and not plan.removes):
        body = _joined(body, items, kept)
    return ParsedAnswer(body, headers, tuple(changes), tuple(keys), complete, refusals=tuple(refusals))


def _some(body: bytes) -> Iterator[list[bytes]]:
    """Yield the elements of an answer, some at a time."""
    for piece in elements_in_pieces(body, _PIECE):
        for start in range(0, len(piece), _BATCH):
            yield piece[start : start + _BATCH]


def _joined(body: bytes, items: list[bytes], kept: list[bytes]) -> bytes:
    """Return the array with each element in its trimmed form; the text between the elements stays as it was."""
    if sum(map(len, items)) + len(items) + 1 == len(body):  # nothing but commas between, as ArangoDB prints
        return b"[" + b",".join(kept) + b"]"
    parts, position = [], 0
    for item, short in zip(items, kept, strict=True):
        start = body.index(item, position)
        parts += [body[position:start], short]
        position = start + len(item)
    return b"".join([*parts, body[position:]])


def _read(body: bytes) -> tuple[_Answer, bytes]:
    """Return (what the answer says, the text of `new`; empty if there is none)."""
    try:
        answer = _ANSWER.decode(body)
    except msgspec.DecodeError:
        return _read_oddly(body)
    return answer, bytes(answer.new)


def _read_oddly(body: bytes) -> tuple[_Answer, bytes]:
    """Read answers with documents that have lone surrogates, from servers that accepted them."""
    found = {member.name: body[member.value : member.end] for member in members(body)}
    kept = {name: msgspec.Raw(found[name]) for name in ("_id", "_key", "_rev", "_oldRev", "error") if name in found}
    return _ANSWER.decode(msgspec.json.encode(kept)), found.get("new", b"")


def _change(plan: DocumentPlan, answer: _Answer, new: bytes) -> tuple[Change | None, bool]:
    """Return (the version that was written, whether that is known for sure)."""
    rev = decode_rev(answer.rev)
    if not answer.key or rev == INVALID:
        return None, False
    if plan.removes:
        return Change(plan.collection, answer.key, rev, None), True
    if not new:
        # overwriteMode=ignore on a key that exists: nothing was written, and it has no `_oldRev`
        return None, not answer.old_rev
    if not _is_version(new, answer):
        # a no-op shows another version; otherwise it is not known what was written
        return None, answer.rev == answer.old_rev
    return Change(plan.collection, answer.key, rev, new), True


def _is_version(new: bytes, answer: _Answer) -> bool:
    """Return True if `new` is the version whose revision the answer shows (mirror-protocol, answer 8)."""
    usual = f'{{"_key":"{answer.key}","_id":"{answer.identity}","_rev":"{answer.rev}"'
    if new.startswith(usual.encode()):
        return True
    version = version_of(new)
    return version.rev == answer.rev and version.key == answer.key


def _decompressed(body: bytes, headers: Headers) -> tuple[bytes, Headers]:
    """Decompress: a server may compress although it was not asked to, and the answer must be trimmed."""
    if header(headers, b"content-encoding") is None:
        return body, headers
    encodings = [value.lower() for name, value in headers if name.lower() == b"content-encoding"]
    if encodings == [b"identity"]:
        return body, headers
    if encodings not in ([b"gzip"], [b"deflate"]):
        raise ValueError(f"an answer in an encoding that was not asked for: {encodings}")
    try:
        plain = zlib.decompress(body, zlib.MAX_WBITS | 32 if encodings == [b"gzip"] else zlib.MAX_WBITS)
    except zlib.error as error:
        raise ValueError(f"an answer that cannot be decompressed: {error}") from error
    return plain, [pair for pair in headers if pair[0].lower() not in (b"content-encoding", b"content-length")]
