"""VelocyPack, ArangoDB's binary form of JSON, read: a request's body as values or as JSON text. Pure.

The format is public (VelocyPack.md, version 1). As in ArangoDB's own validation of what clients send, externals, custom
types, tags, packed decimals, minKey and maxKey are refused, and so are a name that comes twice, text that is not UTF-8,
and nesting deeper than 200. Binary blobs are refused as well: JSON cannot express them. A date becomes its milliseconds
since the epoch. A name that is one small number is that of a system attribute.
"""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Any, Final, Protocol, overload

import orjson

from proxy.base.errors import ArangoError
from proxy.model.json_values import MAX_DEPTH, dump
from proxy.model.message import Request

CONTENT_TYPE: Final = "application/x-velocypack"
# index of a translated attribute name -> the name, as ArangoDB numbers them
_NAMES: Final = {1: "_key", 2: "_rev", 3: "_id", 4: "_from", 5: "_to"}
_DOUBLE: Final = struct.Struct("<d")
_DATE: Final = struct.Struct("<q")
_NEGATIVE_ZERO: Final = orjson.Fragment(b"-0.0")  # `-0` in JSON would be the integer
_RESERVED_HEAD: Final = 9  # bytes that a writer may have reserved for the type and an 8-byte length
CONSTANTS: Final[dict[int, Any]] = {
    0x01: [],
    0x0A: {},
    0x18: None,
    0x19: False,
    0x1A: True,
    **{0x30 + number: number for number in range(10)},
    **{0x40 - number: -number for number in range(1, 7)},
}
WIDTHS: Final = {
    **{0x02 + power: 1 << power for power in range(4)},
    **{0x06 + power: 1 << power for power in range(4)},
    **{0x0B + power: 1 << power for power in range(4)},
    **{0x0F + power: 1 << power for power in range(4)},
}


def decode(data: bytes) -> Any:
    """Return the value. Raise ArangoError 600 if the bytes are not exactly one value."""
    return PackedReader(data, plain=True).whole()


def to_json(data: bytes, *, dates: bool = True) -> bytes:
    """Return the same value as JSON text, as ArangoDB prints it (but for a negative zero, which stays a double).

    dates: whether a date may become its number; else it is refused.
    """
    return dump(PackedReader(data, plain=False, dates=dates).whole())


def in_json(request: Request) -> Request | None:
    """Return the request with its body in JSON; None if JSON cannot express all of it, or it is not VelocyPack."""
    if not isinstance(request.body, bytes) or request.header(b"content-encoding") is not None:
        return None
    try:
        body = to_json(request.body, dates=False) if request.body else b""
    except ArangoError:
        return None
    own = (b"content-type", b"content-length", b"transfer-encoding")
    headers = [pair for pair in request.headers if pair[0].lower() not in own]
    return replace(request, headers=[*headers, (b"content-type", b"application/json")], body=body)


def wrong(reason: str) -> ArangoError:
    """Return ArangoDB's error for a body that it cannot read."""
    return ArangoError(600, f"VPackError error: {reason}")


class PackedBytes(Protocol):
    """The bytes that are read."""

    def __len__(self) -> int: ...

    @overload
    def __getitem__(self, place: int, /) -> int: ...

    @overload
    def __getitem__(self, place: slice[int, int, None], /) -> bytes: ...


class PackedReader:
    """A reader of one buffer, front to back. Every length is checked against the end of what surrounds it.

    plain: a negative zero is a double; otherwise it is a fragment of JSON. dates: whether a date may become its number.
    """

    def __init__(self, data: PackedBytes, *, plain: bool, dates: bool = True) -> None:
        self._data = data
        self._dates = dates
        self._zero: Any = -0.0 if plain else _NEGATIVE_ZERO

    def whole(self) -> Any:
        """Return the value that the buffer is. Raise ArangoError 600."""
        value, end = self.value(0, len(self._data), 0)
        if end != len(self._data):
            raise wrong("Validator invalid length: bytes after the value")
        return value

    def value(self, at: int, limit: int, depth: int) -> tuple[Any, int]:
        """Return the value that begins at `at`, and its end. Raise ArangoError 600 if it passes `limit`."""
        if at >= limit:
            raise wrong("Validator invalid length: value is cut")
        head = self._data[at]
        if 0x40 <= head <= 0xBF:
            return self._text(at, limit)
        if head in CONSTANTS:
            known = CONSTANTS[head]
            return (known.copy() if isinstance(known, list | dict) else known), at + 1
        if 0x20 <= head <= 0x2F:
            size = (head & 7) + 1
            return int.from_bytes(self._bytes(at + 1, size, limit), "little", signed=head < 0x28), at + 1 + size
        if head == 0x1B:
            number = _DOUBLE.unpack(self._bytes(at + 1, 8, limit))[0]
            return (self._zero if number == 0 and str(number)[0] == "-" else number), at + 9
        if head == 0x1C and self._dates:
            return _DATE.unpack(self._bytes(at + 1, 8, limit))[0], at + 9
        if depth >= MAX_DEPTH:
            raise wrong("Array or Object nesting too deep")
        if 0x02 <= head <= 0x05:
            return self._plain_array(at, limit, depth)
        if 0x06 <= head <= 0x12 or head in (0x13, 0x14):
            return self._container(at, limit, depth)
        raise wrong(f"Validator invalid type 0x{head:02x}")

    # ---- arrays and objects

    def _plain_array(self, at: int, limit: int, depth: int) -> tuple[list[Any], int]:
        """Read 0x02 to 0x05: items of one length, to the end, without an index."""
        place, end = self._plain_bounds(at, limit)
        items: list[Any] = []
        length = 0
        while place < end:
            item, following = self.value(place, end, depth + 1)
            length = length or following - place
            if following - place != length:
                raise wrong("Validator invalid length: items of an array without index differ in length")
            items.append(item)
            place = following
        if not items:
            raise wrong("Validator invalid length: array is empty")
        return items, end

    def _plain_bounds(self, at: int, limit: int) -> tuple[int, int]:
        """Return the first item, and the end of the items and the array."""
        width = WIDTHS[self._data[at]]
        end = self._end(at, self.number(at + 1, width, limit), limit)
        return self._first(at, at + 1 + width, end), end

    def _container(self, at: int, limit: int, depth: int) -> tuple[Any, int]:
        """Read arrays and objects with a number of items: with an index, or compact."""
        head = self._data[at]
        is_object = head >= 0x0B and head != 0x13
        if head in (0x13, 0x14):
            start, count, items_end, end = self._compact(at, limit)
            places: list[int] = []
        else:
            start, count, items_end, end, width = self._indexed(at, limit, single_has_index=not is_object)
            places = (
                [at + self.number(place, width, end) for place in range(items_end, items_end + count * width, width)]
                if width
                else []
            )
        items: list[Any] = []
        pairs: dict[str, Any] = {}
        found: list[int] = []
        place = start
        for _ in range(count):
            found.append(place)
            if is_object:
                name, place = self._name(place, items_end)
                if name in pairs:
                    raise wrong("Duplicate attribute name")
                pairs[name], place = self.value(place, items_end, depth + 1)
            else:
                item, place = self.value(place, items_end, depth + 1)
                items.append(item)
        if is_object:
            places.sort()  # by name
        if place != items_end or (places and places != found):
            raise wrong("Validator invalid length: items do not fill their array or object")
        return (pairs if is_object else items), end

    def _indexed(self, at: int, limit: int, *, single_has_index: bool) -> tuple[int, int, int, int, int]:
        """Return (first item, number of items, their end and the index's beginning, end, width) of 0x06 to 0x12.

        width: bytes of an entry of the index; 0 if there is none: an object of one attribute.
        """
        width = WIDTHS[self._data[at]]
        end = self._end(at, self.number(at + 1, width, limit), limit)
        if width == 8:  # the number of items comes after the index
            count, table_end, start = self.number(end - 8, 8, end), end - 8, at + 9
        else:
            count, table_end, start = self.number(at + 1 + width, width, end), end, at + 1 + 2 * width
        if count == 0 or count > end - at:
            raise wrong("Validator invalid length: wrong number of items")
        if count == 1 and not single_has_index:
            return self._first(at, start, table_end), 1, table_end, end, 0
        table = table_end - count * width
        if table < start:
            raise wrong("Validator invalid length: index is larger than what it stands in")
        return self._first(at, start, table), count, table, end, width

    def _compact(self, at: int, limit: int) -> tuple[int, int, int, int]:
        """Return (first item, number of items, their end, end) of 0x13 and 0x14: numbers in groups of seven bits."""
        length, start = self._groups(at + 1, 1, limit)
        end = self._end(at, length, limit)
        count, back = self._groups(end - 1, -1, start - 1)
        if count == 0 or back + 1 < start:
            raise wrong("Validator invalid length: wrong number of items")
        return start, count, back + 1, end

    def _groups(self, at: int, step: int, stop: int) -> tuple[int, int]:
        """Return a number of up to eight groups of seven bits, the least first, and the place of the next byte."""
        value = 0
        for shift in range(0, 56, 7):
            if at == stop or not 0 <= at < len(self._data):
                break
            byte = self._data[at]
            at += step
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, at
        raise wrong("Validator invalid length: number of a compact value")

    def _name(self, at: int, limit: int) -> tuple[str, int]:
        name, place = self.value(at, limit, MAX_DEPTH)  # no container can be a name
        if type(name) is int:
            name = _NAMES.get(name)
        if not isinstance(name, str):
            raise wrong("Validator invalid attribute name")
        return name, place

    # ---- bytes

    def _text(self, at: int, limit: int) -> tuple[str, int]:
        head = self._data[at]
        if head == 0xBF:
            start, size = at + 9, self.number(at + 1, 8, limit)
        else:
            start, size = at + 1, head - 0x40
        try:
            return self._bytes(start, size, limit).decode(), start + size
        except UnicodeDecodeError as error:
            raise wrong("Invalid UTF-8 sequence") from error

    def _first(self, at: int, place: int, end: int) -> int:
        """Return the place of the first item: after zero bytes that a writer had reserved for a longer length."""
        while place < min(at + _RESERVED_HEAD, end) and self._data[place] == 0:
            place += 1
        return place

    def _end(self, at: int, length: int, limit: int) -> int:
        end = at + length
        if length < 2 or end > limit:
            raise wrong("Validator invalid length: longer than what it stands in")
        return end

    def number(self, at: int, width: int, limit: int) -> int:
        return int.from_bytes(self._bytes(at, width, limit), "little")

    def _bytes(self, at: int, size: int, limit: int) -> bytes:
        if at < 0 or at + size > limit:
            raise wrong("Validator invalid length: value is cut")
        return self._data[at : at + size]
