"""The journal's file format: records <-> bytes. Pure.

A segment is a head (magic, version, first sequence number, CRC) and records, each `crc u32 | size u32 | kind u8 |
payload`; the CRC covers all behind it. Kinds: INTENT; KEYS, an INTENT once more with what became known since;
SETTLED, a list of sequence numbers relative to the segment's first. All records of an intent stand in one segment.
OLD_INTENT and OLD_KEYS, of earlier versions, are read: they have no time but that of the wall clock.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple
from zlib import crc32

OLD_INTENT: Final = 1
OLD_KEYS: Final = 2
SETTLED: Final = 3
INTENT: Final = 4
KEYS: Final = 5

KEYLESS: Final = 1  # ArangoDB makes the key: it is known once the answer is there
REVISED: Final = 4  # whatever it wrote has a new revision: a scan of the collection finds it, key or no key
SWEEP: Final = 16  # whole collections are compared: `keys` holds the kind of change, then the collections
OPAQUE: Final = 2  # not captured: `keys` holds the reason, then the collections that become unverified

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


class Note(NamedTuple):
    """An intent as the journal holds it. time: seconds since the epoch. stamp: era known before it was forwarded.

    up: seconds since the boot of the machine. since: milliseconds that the origin's clock had shown before it was
    forwarded (`model.clock`). Both 0 where they were not known.
    """

    seq: int
    time: float
    stamp: int
    flags: int
    collection: str
    keys: tuple[str, ...]
    up: float = 0.0
    since: int = 0

    @property
    def opaque(self) -> bool:
        return bool(self.flags & OPAQUE)


class Found(NamedTuple):
    """A record in a segment: `note` for INTENT and KEYS, `settled` (relative numbers) for SETTLED."""

    offset: int
    end: int
    note: Note | None
    settled: Sequence[int]


def head(base: int) -> bytes:
    """The head of a segment whose first intent is `base`."""
    raw = _HEAD.pack(_MAGIC, _VERSION, base, 0)[:-4]
    return raw + _CRC.pack(crc32(raw))


def read_head(data: bytes) -> int | None:
    """The first sequence number of a segment; None where this is no head of one."""
    if len(data) < HEAD_SIZE:
        return None
    magic, version, base, crc = _HEAD.unpack_from(data)
    if magic != _MAGIC or version != _VERSION or crc != crc32(data[: HEAD_SIZE - 4]):
        return None
    return int(base)


def note(
    kind: int,
    seq: int,
    time: float,
    stamp: int,
    flags: int,
    *,
    collection: bytes,
    keys: bytes,
    up: float = 0.0,
    since: int = 0,
) -> bytes:
    """An INTENT or KEYS record; `keys` as `join` makes them."""
    size = len(collection)
    length = _NOTE_SIZE + size + len(keys)
    body = _NOTE_FRAME.pack(length, kind, seq, time, stamp, flags, size, up, since) + collection + keys
    return _CRC.pack(crc32(body)) + body


def join(keys: Sequence[str]) -> bytes:
    """Keys as bytes. NUL parts them: PostgreSQL's text cannot hold it, and no key of ArangoDB has it."""
    if len(keys) == 1:
        return keys[0].encode("utf-8", "surrogatepass")
    return "\0".join(keys).encode("utf-8", "surrogatepass")


def settled(numbers: Sequence[int]) -> bytes:
    """A SETTLED record of numbers relative to the segment's first."""
    body = struct.pack("<IB", 4 * len(numbers), SETTLED) + array("I", numbers).tobytes()
    return _CRC.pack(crc32(body)) + body


def at(data: bytes, offset: int) -> Found | None:
    """The record that begins there; None where there is none that is whole and right."""
    if offset + FRAME_SIZE > len(data):
        return None
    crc, size, kind = _FRAME.unpack_from(data, offset)
    end = offset + FRAME_SIZE + size
    if end > len(data) or crc != crc32(memoryview(data)[offset + 4 : end]):
        return None
    start = offset + FRAME_SIZE
    if kind == SETTLED:
        return Found(offset, end, None, array("I", data[start:end]))
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
    rest = data[start + length : end].decode("utf-8", "surrogatepass")
    keys = () if flags & KEYLESS else tuple(rest.split("\0"))
    return Found(offset, end, Note(seq, time, stamp, flags, collection, keys, up, since), ())


def scan(data: bytes, offset: int) -> Iterator[Found]:
    """Records from there on, up to the first that is not whole and right."""
    while (found := at(data, offset)) is not None:
        yield found
        offset = found.end


def claimed_end(data: bytes, offset: int) -> int:
    """Where a record that is not right says that it ends; beyond the data where not even its frame is there."""
    if offset + FRAME_SIZE > len(data):
        return len(data) + 1
    _, size, _ = _FRAME.unpack_from(data, offset)
    return offset + FRAME_SIZE + int(size)


def salvage(data: bytes, offset: int) -> Iterator[Found]:
    """Every right record behind a damage, found by trying each place."""
    while offset < len(data):
        found = at(data, offset)
        if found is None:
            offset += 1
        else:
            yield found
            offset = found.end
