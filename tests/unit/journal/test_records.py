"""The journal's file format."""

from __future__ import annotations

import struct
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.journal import records
from proxy.journal.records import CollectionChange, DocumentWrite, Note, OpaqueWrite, VertexRemoval, Write

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)


several = st.lists(texts, min_size=1, max_size=5).map(tuple)
kinds = texts.filter(lambda kind: not kind.startswith("cascade:"))
writes = st.one_of(
    st.builds(DocumentWrite, st.just(()) | several, st.booleans()),
    st.builds(CollectionChange, kinds, several),
    st.builds(VertexRemoval, texts, several),
    st.builds(OpaqueWrite, texts, several),
)


@given(st.integers(1, 2**63), st.floats(allow_nan=False), st.integers(-(2**63), 2**63 - 1), texts, writes)
def test_a_note_comes_back_as_it_was(seq: int, time: float, stamp: int, collection: str, write: Write) -> None:
    raw = records.note(records.INTENT, seq, time, stamp, collection=collection.encode(), write=write)
    found = records.at(b"??" + raw + b"?", 2)
    assert found is not None
    assert found.end == 2 + len(raw)
    assert found.note == Note(seq, time, stamp, collection, write)


def test_a_text_of_a_request_does_not_become_two() -> None:
    """The key in a path is the client's: it may be anything."""
    raw = records.note(records.INTENT, 1, 0.0, 0, collection=b"db/*", write=VertexRemoval("c/\0", ("db/*",)))
    found = records.at(raw, 0)
    assert found is not None
    assert found.note is not None
    assert found.note.write == VertexRemoval("c/\ufffd", ("db/*",))


def _raw(kind: int, flags: int, texts: bytes) -> bytes:
    """Return a record with the collection db/c, as every version with such a kind wrote it."""
    times = b"" if kind in (records.OLD_INTENT, records.OLD_KEYS) else struct.pack("<dq", 0.5, 9)
    payload = struct.pack("<QdqBI", 7, 1.5, 3, flags, 4) + times + b"db/c" + texts
    body = struct.pack("<IB", len(payload), kind) + payload
    return struct.pack("<I", crc32(body)) + body


@pytest.mark.parametrize("kind", [records.OLD_INTENT, records.OLD_KEYS, records.INTENT, records.KEYS])
@pytest.mark.parametrize(
    ("flags", "texts", "write"),
    [
        (0, b"k", DocumentWrite(("k",))),
        (0, b"k\0l", DocumentWrite(("k", "l"))),
        (4, b"k", DocumentWrite(("k",), True)),
        (1, b"", DocumentWrite()),
        (1 | 4, b"", DocumentWrite((), True)),
        (2, b"import", OpaqueWrite("import", ("db/c",))),
        (2, b"import\0db/c\0db/d", OpaqueWrite("import", ("db/c", "db/d"))),
        (16, b"rename\0db/c\0db/d", CollectionChange("rename", ("db/c", "db/d"))),
        (16, b"cascade:c/k\0db/*", VertexRemoval("c/k", ("db/*",))),
    ],
)
def test_the_bytes_of_every_version_are_read(kind: int, flags: int, texts: bytes, write: Write) -> None:
    """A proxy that is upgraded picks up what the one before had left open."""
    found = records.at(_raw(kind, flags, texts), 0)
    assert found is not None
    up, since = (0.0, 0) if kind in (records.OLD_INTENT, records.OLD_KEYS) else (0.5, 9)
    assert found.note == Note(7, 1.5, 3, "db/c", write, up, since)


@given(st.lists(st.integers(0, 2**32 - 1), max_size=20), st.integers(0, 200), st.integers(1, 255))
def test_a_changed_byte_is_seen(numbers: list[int], place: int, change: int) -> None:
    raw = bytearray(records.completed(numbers))
    found = records.at(bytes(raw), 0)
    assert found is not None
    assert list(found.completed) == numbers
    raw[place % len(raw)] ^= change
    assert records.at(bytes(raw), 0) is None


def test_heads() -> None:
    head = records.head(77)
    assert records.read_head(head) == 77
    assert records.read_head(head[:-1]) is None
    assert records.read_head(b"?" + head[1:]) is None


def test_records_of_another_kind_are_none_of_ours() -> None:
    from zlib import crc32

    body = struct.pack("<IB", 0, 9)
    raw = struct.pack("<I", crc32(body)) + body
    assert records.at(raw, 0) is None
    assert list(records.salvage(raw + records.completed([1]), 0)) != []


def test_notes_of_an_earlier_version_are_read() -> None:
    """A proxy that is upgraded picks up what it had left open, without the origin's time."""
    body = struct.pack("<IBQdqBI", 29 + 4 + 1, records.OLD_INTENT, 7, 1.5, 3, 0, 4) + b"db/c" + b"k"
    found = records.at(struct.pack("<I", crc32(body)) + body, 0)
    assert found is not None
    assert found.note == Note(7, 1.5, 3, "db/c", DocumentWrite(("k",)))
