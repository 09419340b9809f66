"""The journal's file format."""

from __future__ import annotations

import struct
from zlib import crc32

from hypothesis import given
from hypothesis import strategies as st

from proxy.journal import records
from proxy.journal.records import Note

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)


@given(
    st.integers(1, 2**63),
    st.floats(allow_nan=False),
    st.integers(-(2**63), 2**63 - 1),
    texts,
    st.lists(texts, min_size=1, max_size=5),
)
def test_a_note_comes_back_as_it_was(seq: int, time: float, stamp: int, collection: str, keys: list[str]) -> None:
    raw = records.note(records.INTENT, seq, time, stamp, 0, collection=collection.encode(), keys=records.join(keys))
    found = records.at(b"??" + raw + b"?", 2)
    assert found is not None
    assert found.end == 2 + len(raw)
    assert found.note == Note(seq, time, stamp, 0, collection, tuple(keys))


@given(st.lists(st.integers(0, 2**32 - 1), max_size=20), st.integers(0, 200), st.integers(1, 255))
def test_a_changed_byte_is_seen(numbers: list[int], place: int, change: int) -> None:
    raw = bytearray(records.settled(numbers))
    found = records.at(bytes(raw), 0)
    assert found is not None
    assert list(found.settled) == numbers
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
    assert list(records.salvage(raw + records.settled([1]), 0)) != []


def test_notes_of_an_earlier_version_are_read() -> None:
    """A proxy that is upgraded picks up what it had left open; the origin's time is not known of it."""
    body = struct.pack("<IBQdqBI", 29 + 4 + 1, records.OLD_INTENT, 7, 1.5, 3, 0, 4) + b"db/c" + b"k"
    found = records.at(struct.pack("<I", crc32(body)) + body, 0)
    assert found is not None
    assert found.note == Note(7, 1.5, 3, 0, "db/c", ("k",))
