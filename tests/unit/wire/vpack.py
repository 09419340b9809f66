"""An encoder of VelocyPack for tests: every way that the format allows to write one value, chosen by `choose`."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

Choose = Callable[[list[Any]], Any]


def first(options: list[Any]) -> Any:
    """The shortest way, and what writers usually do."""
    return options[0]


def encode(value: Any, choose: Choose = first) -> bytes:
    """One value. `choose` picks among the forms that it may have."""
    if value is None or isinstance(value, bool):
        return {None: b"\x18", False: b"\x19", True: b"\x1a"}[value]
    if isinstance(value, int):
        return _integer(value, choose)
    if isinstance(value, float):
        return b"\x1b" + struct.pack("<d", value)
    if isinstance(value, str):
        return _text(value.encode(), choose)
    if isinstance(value, list):
        return _array([encode(item, choose) for item in value], choose)
    pairs = [(name, encode(name, choose) + encode(item, choose)) for name, item in value.items()]
    return _object(pairs, choose)


def _integer(value: int, choose: Choose) -> bytes:
    forms: list[bytes] = []
    if 0 <= value <= 9:
        forms.append(bytes([0x30 + value]))
    if -6 <= value < 0:
        forms.append(bytes([0x40 + value]))
    for size in range(1, 9):
        if 0 <= value < 1 << 8 * size:
            forms.append(bytes([0x27 + size]) + value.to_bytes(size, "little"))
        if -(1 << 8 * size - 1) <= value < 1 << 8 * size - 1:
            forms.append(bytes([0x1F + size]) + value.to_bytes(size, "little", signed=True))
    form: bytes = choose(forms)
    return form


def _text(raw: bytes, choose: Choose) -> bytes:
    long = b"\xbf" + len(raw).to_bytes(8, "little") + raw
    form: bytes = choose([bytes([0x40 + len(raw)]) + raw, long] if len(raw) <= 126 else [long])
    return form


def _array(items: list[bytes], choose: Choose) -> bytes:
    if not items:
        return b"\x01"
    forms = []
    if len({len(item) for item in items}) == 1:
        forms += [_plain(power, items, pad) for power in range(4) for pad in (0, 9)]
    forms.append(_compact(0x13, items))
    forms += [_indexed(0x06 + power, power, items, range(len(items)), pad) for power in range(4) for pad in (0, 9)]
    form: bytes = choose([form for form in forms if form is not None])
    return form


def _object(pairs: list[tuple[str, bytes]], choose: Choose) -> bytes:
    if not pairs:
        return b"\x0a"
    items = [pair for _, pair in pairs]
    order = sorted(range(len(pairs)), key=lambda number: pairs[number][0].encode())
    forms = [
        _indexed(base + power, power, items, order, pad)
        for base in (0x0B, 0x0F)
        for power in range(4)
        for pad in (0, 9)
    ]
    forms.append(_compact(0x14, items))
    form: bytes = choose([form for form in forms if form is not None])
    return form


def _plain(power: int, items: list[bytes], pad: int) -> bytes | None:
    width = 1 << power
    start = max(1 + width, pad)
    length = start + sum(map(len, items))
    if length >= 1 << 8 * width:
        return None
    head = bytes([0x02 + power]) + length.to_bytes(width, "little")
    return head.ljust(start, b"\0") + b"".join(items)


def _indexed(head: int, power: int, items: list[bytes], order: Any, pad: int) -> bytes | None:
    width = 1 << power
    start = 9 if width == 8 else max(1 + 2 * width, pad)
    places, place = [], start
    for item in items:
        places.append(place)
        place += len(item)
    has_table = len(items) > 1 or head < 0x0B
    table = [places[number] for number in order] if has_table else []
    length = place + width * len(table) + (8 if width == 8 else 0)
    if length >= 1 << 8 * width:
        return None
    count = len(items).to_bytes(width, "little")
    opening = bytes([head]) + length.to_bytes(width, "little") + (b"" if width == 8 else count)
    index = b"".join(entry.to_bytes(width, "little") for entry in table)
    return opening.ljust(start, b"\0") + b"".join(items) + index + (count if width == 8 else b"")


def _compact(head: int, items: list[bytes]) -> bytes:
    body, count = b"".join(items), _groups(len(items))[::-1]
    size = 2
    while len(_groups(1 + size - 1 + len(body) + len(count))) != size - 1:
        size += 1
    length = 1 + size - 1 + len(body) + len(count)
    return bytes([head]) + _groups(length) + body + count


def _groups(value: int) -> bytes:
    groups = [value & 0x7F]
    while value := value >> 7:
        groups.append(value & 0x7F)
    return bytes([group | 0x80 for group in groups[:-1]] + groups[-1:])
