"""HASH: 51 bits of XXH64 over a value in the form of VelocyPack, normalised.

Numbers are hashed as doubles, arrays and objects by their members: so 1 and 1.0 are one value, and the order of
attributes does not count.
"""

from __future__ import annotations

import struct
from typing import Final

from proxy.aql.functions.registry import function
from proxy.aql.query_context import QueryContext
from proxy.aql.values import Value

_MASK: Final = (1 << 64) - 1
_SEED: Final = 0xDEADBEEF
_KEPT: Final = 0x0007_FFFF_FFFF_FFFF
_ARRAY, _OBJECT = 0xBA5BEDF00D, 0xF00BA44BA5
_SHORT = 126  # the longest text whose length is in the first byte
_P1, _P2, _P3, _P4, _P5 = (
    11400714785074694791,
    14029467366897019727,
    1609587929392839161,
    9650029242287828579,
    2870177450012600261,
)


def _rotate(value: int, bits: int) -> int:
    return (value << bits | value >> (64 - bits)) & _MASK


def _round(lane: int, word: int) -> int:
    return _rotate((lane + word * _P2) & _MASK, 31) * _P1 & _MASK


def xxh64(data: bytes, seed: int) -> int:
    """Return the XXH64 of bytes, by its specification."""
    size, at = len(data), 0
    if size >= 32:
        lanes = [(seed + _P1 + _P2) & _MASK, (seed + _P2) & _MASK, seed, (seed - _P1) & _MASK]
        while at + 32 <= size:
            lanes = [_round(lane, word) for lane, word in zip(lanes, struct.unpack_from("<4Q", data, at), strict=True)]
            at += 32
        found = sum(_rotate(lane, bits) for lane, bits in zip(lanes, (1, 7, 12, 18), strict=True)) & _MASK
        for lane in lanes:
            found = ((found ^ _round(0, lane)) * _P1 + _P4) & _MASK
    else:
        found = (seed + _P5) & _MASK
    found = (found + size) & _MASK
    while at + 8 <= size:
        found = (_rotate(found ^ _round(0, struct.unpack_from("<Q", data, at)[0]), 27) * _P1 + _P4) & _MASK
        at += 8
    if at + 4 <= size:
        found = (_rotate(found ^ struct.unpack_from("<I", data, at)[0] * _P1 & _MASK, 23) * _P2 + _P3) & _MASK
        at += 4
    for byte in data[at:]:
        found = _rotate(found ^ byte * _P5 & _MASK, 11) * _P1 & _MASK
    found = (found ^ found >> 33) * _P2 & _MASK
    found = (found ^ found >> 29) * _P3 & _MASK
    return found ^ found >> 32


def _text(value: str) -> bytes:
    data = value.encode("utf-8", "surrogatepass")
    if len(data) <= _SHORT:
        return bytes((0x40 + len(data),)) + data
    return b"\xbf" + len(data).to_bytes(8, "little") + data


def normalised(value: Value, seed: int = _SEED) -> int:
    """Return the hash of a value; the seed of a member is the hash so far."""
    kind = value.__class__
    if kind is str:
        return xxh64(_text(value), seed)
    if kind is int or kind is float:
        return xxh64(struct.pack("<d", float(value)), seed)
    if kind is list:
        found = xxh64((len(value) ^ _ARRAY).to_bytes(8, "little"), seed)
        for item in value:
            found ^= normalised(item, found)
        return found
    if kind is dict:
        own = found = xxh64((len(value) ^ _OBJECT).to_bytes(8, "little"), seed)
        for name, item in value.items():
            of_name = xxh64(_text(name), own)
            found ^= of_name ^ normalised(item, of_name)
        return found
    return xxh64(b"\x18" if value is None else b"\x1a" if value else b"\x19", seed)


@function("HASH", arguments=1)
def hash_value(_context: QueryContext, value: Value) -> Value:
    """HASH(value)"""
    return normalised(value) & _KEPT
