"""ArangoDB's responses to the backfill, decoded: documents keep their bytes, the order of keys is checked. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast

import msgspec

from proxy.base.errors import ArangoError, CrossfadeError, UpstreamOutcomeUnknown
from proxy.model.revision import decode_rev
from proxy.replication.versions import StampedVersion

T = TypeVar("T")
# the escape of a surrogate, lone or half of a pair: its replacement only needs the same length
_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
REV_MAX: Final = (1 << 63) - 1  # the maximum of PostgreSQL's bigint; larger decoded values are not real revisions


class OriginDisorder(CrossfadeError):
    """A page is not in byte order of its keys, or skipped one: copying by pages would lose documents."""


@dataclass(frozen=True, slots=True)
class Document:
    """One document as ArangoDB printed it, with its key and decoded revision."""

    key: str
    rev: int
    raw: bytes

    def stamped(self, era: int) -> StampedVersion:
        """Return the document as a version to apply. era: the write epoch, read before the document was."""
        return StampedVersion(self.key, self.rev, self.raw, era)


@dataclass(frozen=True, slots=True)
class Page:
    """Documents in key order. bytes: their total size; last: the range has no more; limit: how many were requested."""

    documents: tuple[Document, ...]
    bytes: int
    last: bool
    limit: int


@dataclass(frozen=True, slots=True)
class RevisionPage:
    """Pairs of key and revision in key order; last: the range has no more."""

    entries: tuple[tuple[str, int], ...]
    last: bool


class PageHead(msgspec.Struct):
    key: str = msgspec.field(name="_key")
    rev: str = msgspec.field(name="_rev")


class _Element(msgspec.Struct):
    key: str = msgspec.field(name="_key", default="")
    rev: str = msgspec.field(name="_rev", default="")
    number: msgspec.Raw = msgspec.field(name="errorNum", default=msgspec.Raw(b"0"))


class Documents(msgspec.Struct):
    result: list[msgspec.Raw]
    more: bool = msgspec.field(name="hasMore", default=False)
    id: str = ""


class Pairs(msgspec.Struct):
    result: list[tuple[str, str]]
    more: bool = msgspec.field(name="hasMore", default=False)
    id: str = ""


class Keys(msgspec.Struct):
    result: list[str]


class Count(msgspec.Struct):
    count: int


class Role(msgspec.Struct):
    role: str = "UNDEFINED"


class Shards(msgspec.Struct):
    shards: list[str]


DOCUMENTS = msgspec.json.Decoder(Documents)
PAIRS = msgspec.json.Decoder(Pairs)
KEYS = msgspec.json.Decoder(Keys)
ROLE = msgspec.json.Decoder(Role)
SHARDS = msgspec.json.Decoder(Shards)
COUNT = msgspec.json.Decoder(Count)
HEAD = msgspec.json.Decoder(PageHead)
_ELEMENT = msgspec.json.Decoder(_Element)
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])


def decode(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    try:
        return decoder.decode(body)
    except msgspec.MsgspecError as error:
        found = _with_lone_surrogates(decoder, body)
        if found is None:
            raise UpstreamOutcomeUnknown(f"ArangoDB's answer has an unexpected form: {error}") from error
        return found


def _with_lone_surrogates(decoder: msgspec.json.Decoder[T], body: bytes) -> T | None:
    """Decode text with escapes of lone surrogates, which the decoder refuses but old data may contain.

    Each such escape is replaced by that of a letter for parsing; documents keep their original bytes. Return None if
    the text is invalid for another reason.
    """
    neutral = _SURROGATE.sub(rb"\\u0041", body)
    if neutral == body:
        return None
    try:
        found: Any = decoder.decode(neutral)
    except msgspec.MsgspecError:
        return None
    if isinstance(found, Documents):
        found.result = _originals(found.result, neutral, body)
    elif isinstance(found, list):
        found = _originals(found, neutral, body)
    return cast(T, found)


def _originals(raws: list[msgspec.Raw], neutral: bytes, body: bytes) -> list[msgspec.Raw]:
    """Return the slices of `body` that are at the positions of `raws` in `neutral`, which has the same length."""
    found, at = [], 0
    for raw in raws:
        begin = neutral.index(bytes(raw), at)
        at = begin + len(bytes(raw))
        found.append(msgspec.Raw(body[begin:at]))
    return found


def revision(text: str) -> int:
    return min(decode_rev(text), REV_MAX)


def document(raw: bytes | msgspec.Raw) -> Document:
    head = decode(HEAD, bytes(raw))
    return Document(head.key, revision(head.rev), bytes(raw))


def elements(body: bytes, keys: Sequence[str]) -> dict[str, Document | None]:
    parts = decode(_ARRAY, body)
    if len(parts) != len(keys):
        raise UpstreamOutcomeUnknown(f"ArangoDB answered {len(parts)} documents for {len(keys)} keys")
    found: dict[str, Document | None] = {}
    for key, raw in zip(keys, parts, strict=True):
        element = decode(_ELEMENT, bytes(raw))
        if element.key:  # errors have no key, whereas a document may have an attribute `error`
            found[key] = Document(key, revision(element.rev), bytes(raw))
        elif bytes(element.number) == b"1202":
            found[key] = None
        else:
            raise ArangoError(int(bytes(element.number)), f"ArangoDB could not read the key {key}")
    return found


def check_order(keys: Sequence[str], after: str, upper: str | None, collection: str) -> None:
    previous = after
    for key in keys:
        if key <= previous or (upper is not None and key > upper):
            raise OriginDisorder(
                f"ArangoDB's page of {collection} is not in byte order of its keys: {key!r} came after {previous!r}"
                + (f" in a range up to {upper!r}" if upper is not None else "")
                + "; on a cluster, read from a single server or one shard"
            )
        previous = key


def merged(pages: Sequence[Page], limit: int, collection: str) -> Page:
    """Merge the pages of several shards by bytes of keys, up to the key that all shards have been read to.

    limit: the limit of the merged page.
    """
    bound = _common_end([page.documents[-1].key for page in pages if not page.last])
    documents = sorted((one for page in pages for one in page.documents), key=lambda one: one.key)
    _check_disjoint([one.key for one in documents], collection)
    found = tuple(one for one in documents if bound is None or one.key <= bound)
    return Page(found, sum(len(one.raw) for one in found), bound is None, limit)


def merged_revisions(pages: Sequence[RevisionPage], collection: str) -> RevisionPage:
    """Like `merged`, for pages of revisions."""
    bound = _common_end([page.entries[-1][0] for page in pages if not page.last])
    entries = sorted(entry for page in pages for entry in page.entries)
    _check_disjoint([key for key, _ in entries], collection)
    return RevisionPage(tuple(entry for entry in entries if bound is None or entry[0] <= bound), bound is None)


def _common_end(ends: Sequence[str]) -> str | None:
    return min(ends, default=None)


def _check_disjoint(keys: Sequence[str], collection: str) -> None:
    if len(set(keys)) != len(keys):
        raise OriginDisorder(
            f"ArangoDB returned one key of {collection} from two shards: it ignores `options.shardIds`, without which "
            "a cluster cannot be read in order of keys; read from a single server"
        )
