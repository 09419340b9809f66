"""The file format of the journal, and the records that it holds. Pure.

A segment is a head (magic, version, first sequence number, CRC) and records, each `crc u32 | size u32 | kind u8 |
payload`; the CRC covers everything after itself. Kinds: INTENT; KEYS, the same intent with what became known since;
COMPLETED, a list of sequence numbers relative to the segment's first. All records of an intent are in one segment.
OLD_INTENT and OLD_KEYS, of earlier versions, are still read: they have no time but that of the wall clock.

What an intent is about is one of four types (`Write`). In the file it is a flag and a list of texts: `_encoded` and
`_decoded` alone know which.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple
from zlib import crc32

import msgspec

OLD_INTENT: Final = 1
OLD_KEYS: Final = 2
COMPLETED: Final = 3
INTENT: Final = 4
KEYS: Final = 5

_KEYLESS: Final = 1  # no texts: ArangoDB makes the keys
_OPAQUE: Final = 2  # the texts are the reason, then the collections
_REVISED: Final = 4
_CHANGE: Final = 16  # the texts are the kind of change, then the collections
_CASCADE: Final = "cascade:"  # the kind of a change that is the removal of a vertex: its handle follows

_HEAD: Final = struct.Struct("<4sHQI")
_MAGIC: Final = b"XFJ\n"
_VERSION: Final = 1
HEAD_SIZE: Final = _HEAD.size

_CRC: Final = struct.Struct("<I")
_FRAME: Final = struct.Struct("<IIB")  # crc, size of the payload, kind
_OLD_NOTE: Final = struct.Struct("<QdqBI")  # seq, wall time, stamp, flags, length of the collection's name
_NOTE: Final = struct.Struct("<QdqBIdq")  # the same, then uptime and the origin's time
_NOTE_FRAME: Final = struct.Struct("<IBQdqBIdq")  # what the CRC covers: size, kind, note
_NOTE_SIZE: Final = _NOTE.size
FRAME_SIZE: Final = _FRAME.size


# msgspec structs, not dataclasses: one is made on the path of every write


class DocumentWrite(msgspec.Struct, frozen=True, gc=False):
    """A write of documents of one collection. keys: empty if they are not known (ArangoDB makes them).

    revised: whatever it writes has a new revision, so that a scan of the collection finds it without its keys.
    """

    keys: tuple[str, ...] = ()
    revised: bool = False


class CollectionChange(msgspec.Struct, frozen=True, gc=False):
    """A change of whole collections, which are compared with the origin afterwards (`replication.resync`).

    kind: in a word or two. collections: `database/name`, or `database/*` for any of the database.
    """

    kind: str
    collections: tuple[str, ...]


class VertexRemoval(msgspec.Struct, frozen=True, gc=False):
    """The edges that ArangoDB removed together with the document of this handle are searched in the whole database."""

    handle: str
    collections: tuple[str, ...]


class OpaqueWrite(msgspec.Struct, frozen=True, gc=False):
    """A write that is not captured: these collections get a mark that they need a verification."""

    reason: str
    collections: tuple[str, ...]


Resync = CollectionChange | VertexRemoval
Write = DocumentWrite | CollectionChange | VertexRemoval | OpaqueWrite


class Note(NamedTuple):
    """An intent as the journal holds it. time: seconds since the epoch. stamp: era known before it was forwarded.

    collection: where it is counted; `database/*` if the write concerns several. up: seconds since the boot of the
    machine. since: milliseconds that the origin's clock had shown before it was forwarded (`model.clock`). Both are 0
    if they were not known.
    """

    seq: int
    time: float
    stamp: int
    collection: str
    write: Write
    up: float = 0.0
    since: int = 0


class FoundRecord(NamedTuple):
    """A record in a segment: `note` for INTENT and KEYS, `completed` (relative numbers) for COMPLETED."""

    offset: int
    end: int
    note: Note | None
    completed: Sequence[int]


def head(base: int) -> bytes:
    """Return the head of a segment whose first intent is `base`."""
    raw = _HEAD.pack(_MAGIC, _VERSION, base, 0)[:-4]
    return raw + _CRC.pack(crc32(raw))


def read_head(data: bytes) -> int | None:
    """Return the first sequence number of a segment; None if the data does not begin with a valid head."""
    if len(data) < HEAD_SIZE:
        return None
    magic, version, base, crc = _HEAD.unpack_from(data)
    if magic != _MAGIC or version != _VERSION or crc != crc32(data[: HEAD_SIZE - 4]):
        return None
    return int(base)


def note(
    kind: int, seq: int, time: float, stamp: int, *, collection: bytes, write: Write, up: float = 0.0, since: int = 0
) -> bytes:
    """Return an INTENT or KEYS record."""
    flags, texts = _encoded(write)
    size = len(collection)
    length = _NOTE_SIZE + size + len(texts)
    body = _NOTE_FRAME.pack(length, kind, seq, time, stamp, flags, size, up, since) + collection + texts
    return _CRC.pack(crc32(body)) + body


def completed(numbers: Sequence[int]) -> bytes:
    """Return a COMPLETED record of numbers relative to the segment's first."""
    body = struct.pack("<IB", 4 * len(numbers), COMPLETED) + array("I", numbers).tobytes()
    return _CRC.pack(crc32(body)) + body


def at(data: bytes, offset: int) -> FoundRecord | None:
    """Return the record that begins at the offset; None if there is none that is complete and undamaged."""
    if offset + FRAME_SIZE > len(data):
        return None
    crc, size, kind = _FRAME.unpack_from(data, offset)
    end = offset + FRAME_SIZE + size
    if end > len(data) or crc != crc32(memoryview(data)[offset + 4 : end]):
        return None
    start = offset + FRAME_SIZE
    if kind == COMPLETED:
        return FoundRecord(offset, end, None, array("I", data[start:end]))
    up, since = 0.0, 0
    if kind in (INTENT, KEYS) and size >= _NOTE_SIZE:
        seq, time, stamp, flags, length, up, since = _NOTE.unpack_from(data, start)
        start += _NOTE_SIZE
    elif kind in (OLD_INTENT, OLD_KEYS) and size >= _OLD_NOTE.size:
        seq, time, stamp, flags, length = _OLD_NOTE.unpack_from(data, start)
        start += _OLD_NOTE.size
    else:
        return None
    collection = sys.intern(data[start : start + length].decode("utf-8", "surrogatepass"))
    write = _decoded(flags, collection, data[start + length : end])
    return FoundRecord(offset, end, Note(seq, time, stamp, collection, write, up, since), ())


def scan(data: bytes, offset: int) -> Iterator[FoundRecord]:
    """Yield the records from the offset on, up to the first that is not complete and undamaged."""
    while (found := at(data, offset)) is not None:
        yield found
        offset = found.end


def claimed_end(data: bytes, offset: int) -> int:
    """Return where a damaged record claims to end; beyond the data if not even its frame is there."""
    if offset + FRAME_SIZE > len(data):
        return len(data) + 1
    _, size, _ = _FRAME.unpack_from(data, offset)
    return offset + FRAME_SIZE + int(size)


def salvage(data: bytes, offset: int) -> Iterator[FoundRecord]:
    """Yield every undamaged record after a damage, found by trying each offset."""
    while offset < len(data):
        found = at(data, offset)
        if found is None:
            offset += 1
        else:
            yield found
            offset = found.end


# ---- a write as a flag and texts


def _encoded(write: Write) -> tuple[int, bytes]:
    if type(write) is DocumentWrite:
        return (_REVISED if write.revised else 0) | (0 if write.keys else _KEYLESS), _joined(write.keys)
    match write:
        case OpaqueWrite(reason=reason):
            return _OPAQUE, _joined((_one_text(reason), *write.collections))
        case CollectionChange(kind=kind):
            return _CHANGE, _joined((_one_text(kind), *write.collections))
        case VertexRemoval(handle=handle):
            return _CHANGE, _joined((_one_text(_CASCADE + handle), *write.collections))
    raise TypeError(type(write))


def _decoded(flags: int, collection: str, texts: bytes) -> Write:
    first, *others = texts.decode("utf-8", "surrogatepass").split("\0")
    if flags & _OPAQUE:
        return OpaqueWrite(first, tuple(others) or (collection,))
    if flags & _CHANGE and first.startswith(_CASCADE):
        return VertexRemoval(first.removeprefix(_CASCADE), tuple(others) or (collection,))
    if flags & _CHANGE:
        return CollectionChange(first, tuple(others) or (collection,))
    return DocumentWrite(() if flags & _KEYLESS else (first, *others), bool(flags & _REVISED))


def _joined(texts: Sequence[str]) -> bytes:
    """Return the texts as bytes, with NUL between them: PostgreSQL's text cannot hold it, and no key has it."""
    if len(texts) == 1:
        return texts[0].encode("utf-8", "surrogatepass")
    return "\0".join(texts).encode("utf-8", "surrogatepass")


def _one_text(text: str) -> str:
    """Return a text that is not taken for two: a handle comes from a request's path, which may have a NUL."""
    return text.replace("\0", "\ufffd")
