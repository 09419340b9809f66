"""VelocyPack written: a value, or a JSON text, in ArangoDB's binary form. Pure. Rules: VelocyPack.md, version 1.

Each value has the shortest form of those that ArangoDB itself writes: arrays of items of one length without an index,
other arrays with one, objects with an index sorted by name. `wire.velocypack` reads.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, Final

from proxy.base.errors import ArangoError
from proxy.model import json_reader
from proxy.model.json_values import INT_MAX, INT_MIN

_DOUBLE: Final = struct.Struct("<d")
_SHORT: Final = 126  # bytes of text whose length is in the first byte


def of_json(text: bytes) -> bytes:
    """Return the value of a JSON text as VelocyPack. Raise ArangoError 600 if it is not JSON."""
    return encode_printed(printed_value(text))


def printed_value(text: bytes) -> Any:
    """Return the value of a JSON text that a server printed: each double exactly. Raise ArangoError 600.

    ArangoDB's own parser, which reads what clients send, rounds long integers to a neighbour.
    """
    try:
        return json_reader.load(text)
    except (ValueError, RecursionError) as error:
        raise ArangoError(600, f"not JSON: {error}") from error


def encode_printed(value: Any) -> bytes:
    """Return a value as VelocyPack. Raise ArangoError 600 if a string of it has no UTF-8, as old servers store some."""
    try:
        return encode(value)
    except UnicodeEncodeError as error:
        raise ArangoError(600, "a string is not UTF-8") from error


def encode(value: Any) -> bytes:
    """Return a value as VelocyPack; integers that do not fit into 64 bits become doubles."""
    kind = type(value)
    if kind is str:
        return _text(value)
    if kind is int:
        return _integer(value)
    if value is None:
        return b"\x18"
    if kind is bool:
        return b"\x1a" if value else b"\x19"
    if kind is float:
        return b"\x1b" + _DOUBLE.pack(value)
    if kind is list:
        return _array([encode(item) for item in value])
    if kind is dict:
        return _object({name: _text(name) + encode(item) for name, item in value.items()})
    raise TypeError(f"no JSON value: {kind.__name__}")


def compact_ends(kind: int, size: int, count: int) -> tuple[bytes, bytes]:
    """Return what is before and after the items of a compact array (0x13) or object (0x14), whose length is not known
    before the items are. size: bytes of the items; count: their number, at least one.
    """
    after, width = _groups(count)[::-1], 1
    while len(length := _groups(1 + width + size + len(after))) > width:
        width += 1
    return bytes((kind,)) + length, after


def _groups(value: int) -> bytes:
    """Return a number in groups of seven bits, the least first; all but the last have the highest bit set."""
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)


def _text(value: str) -> bytes:
    raw = value.encode("utf-8", "replace")
    if len(raw) <= _SHORT:
        return bytes((0x40 + len(raw),)) + raw
    return b"\xbf" + len(raw).to_bytes(8, "little") + raw


def _integer(value: int) -> bytes:
    if -6 <= value <= 9:
        return bytes((0x30 + value if value >= 0 else 0x40 + value,))
    if not INT_MIN <= value <= INT_MAX:
        return b"\x1b" + _DOUBLE.pack(float(value))
    if value >= 0:
        size = (value.bit_length() + 7) // 8
        return bytes((0x27 + size,)) + value.to_bytes(size, "little")
    size = ((-value - 1).bit_length() + 8) // 8
    return bytes((0x1F + size,)) + value.to_bytes(size, "little", signed=True)


def _array(items: Sequence[bytes]) -> bytes:
    if not items:
        return b"\x01"
    body = b"".join(items)
    if len(items[0]) * len(items) == len(body) and all(len(item) == len(items[0]) for item in items):
        for power in range(4):
            width = 1 << power
            length = 1 + width + len(body)
            if length < 1 << 8 * width:
                return bytes((0x02 + power,)) + length.to_bytes(width, "little") + body
    return _indexed(0x06, items, range(len(items)))


def _object(pairs: dict[str, bytes]) -> bytes:
    if not pairs:
        return b"\x0a"
    names = [name.encode("utf-8", "replace") for name in pairs]
    return _indexed(0x0B, list(pairs.values()), sorted(range(len(names)), key=names.__getitem__))


def _indexed(head: int, items: Sequence[bytes], order: Sequence[int]) -> bytes:
    """Return the items with the place of each, in that order; an object of one attribute has no index."""
    body = b"".join(items)
    entries = len(items) if len(items) > 1 or head < 0x0B else 0
    for power in range(4):
        width = 1 << power
        start = 9 if width == 8 else 1 + 2 * width
        length = start + len(body) + width * entries + (8 if width == 8 else 0)
        if length < 1 << 8 * width:
            break
    places, place = [], start
    for item in items:
        places.append(place)
        place += len(item)
    table = b"".join(places[number].to_bytes(width, "little") for number in order) if entries else b""
    count = len(items).to_bytes(width, "little")
    opening = bytes((head + power,)) + length.to_bytes(width, "little")
    return opening + body + table + count if width == 8 else opening + count + body + table
