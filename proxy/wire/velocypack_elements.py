"""The elements of a VelocyPack array that is too large for memory, read one after the other. Pure.

In memory are one element and a piece of the body. The index of the array is read beside the elements, and must name
their places in their order.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, overload

from proxy.model.json_values import dump
from proxy.model.operations import LargeBody
from proxy.wire.velocypack import CONSTANTS, WIDTHS, PackedReader, wrong

_PIECE: Final = 256 << 10  # bytes that are read together
_COMPACT: Final = 0x13
_ARRAYS: Final = frozenset({*range(0x02, 0x0A), _COMPACT})  # but for the empty one


def is_array(body: LargeBody) -> bool:
    """Return True if a body of VelocyPack is an array."""
    return body.size > 0 and body.read(0, 1)[0] in _ARRAYS


def json_elements(body: LargeBody) -> Iterator[bytes]:
    """Yield the elements of an array as JSON texts, which `to_json` of the whole joins by commas.

    Raise ArangoError 600 after the last element that can be read, if the bytes are not exactly one array.
    """
    return map(dump, _ElementReader(body).elements())


class _Window:
    """The bytes of a body by position, of which a piece is in memory."""

    def __init__(self, body: LargeBody) -> None:
        self._body = body
        self._begin = 0
        self._piece = b""

    def __len__(self) -> int:
        return self._body.size

    @overload
    def __getitem__(self, place: int, /) -> int: ...

    @overload
    def __getitem__(self, place: slice[int, int, None], /) -> bytes: ...

    def __getitem__(self, place: int | slice[int, int, None], /) -> int | bytes:
        begin, end = (place, place + 1) if isinstance(place, int) else (place.start, place.stop)
        if begin < self._begin or end > self._begin + len(self._piece):
            self._begin = begin
            self._piece = self._body.read(begin, min(max(end, begin + _PIECE), self._body.size))
        found = self._piece[begin - self._begin : end - self._begin]
        return found[0] if isinstance(place, int) else found


class _ElementReader(PackedReader):
    """A reader of an array: each of its elements is read as a buffer by itself, since methods of a window are slow."""

    def __init__(self, body: LargeBody) -> None:
        super().__init__(_Window(body), plain=False)
        self._size = body.size
        self._index = PackedReader(_Window(body), plain=False)

    def elements(self) -> Iterator[Any]:
        """Yield the elements. Raise ArangoError 600."""
        head, count, width, length = self._data[0], 0, 0, 0
        if head == _COMPACT:
            place, count, items_end, end = self._compact(0, self._size)
        elif head in _ARRAYS and head >= 0x06:
            place, count, items_end, end, width = self._indexed(0, self._size, single_has_index=True)
        else:
            place, items_end = self._plain_bounds(0, self._size)
            end = items_end
            length = self._length(place, items_end) if place < items_end else 0
            if not length:
                raise wrong("Validator invalid length: array is empty")
        number, indexed = 0, True
        while place < items_end if length else number < count:
            found = self._length(place, items_end)
            value, _ = PackedReader(self._data[place : place + found], plain=False).value(0, found, 1)
            if length and found != length:
                raise wrong("Validator invalid length: items of an array without index differ in length")
            if width and self._index.number(items_end + number * width, width, end) != place:
                indexed = False  # reported after what is wrong with other elements
            yield value
            place += found
            number += 1
        if place != items_end or not indexed:
            raise wrong("Validator invalid length: items do not fill their array or object")
        if end != self._size:
            raise wrong("Validator invalid length: bytes after the value")

    def _length(self, at: int, limit: int) -> int:
        """Return the number of bytes of the value that begins at `at`. Raise ArangoError 600 if it passes `limit`."""
        if at >= limit:
            raise wrong("Validator invalid length: value is cut")
        head = self._data[at]
        if 0x02 <= head <= 0x14 and head not in CONSTANTS:
            length = self._groups(at + 1, 1, limit)[0] if head >= _COMPACT else self.number(at + 1, WIDTHS[head], limit)
            return self._end(at, length, limit) - at
        if 0x40 <= head <= 0xBF:
            length = 1 + head - 0x40 if head < 0xBF else 9 + self.number(at + 1, 8, limit)
        elif head in CONSTANTS:
            length = 1
        elif 0x20 <= head <= 0x2F:
            length = 2 + (head & 7)
        elif head in (0x1B, 0x1C):
            length = 9
        else:
            raise wrong(f"Validator invalid type 0x{head:02x}")
        if at + length > limit:
            raise wrong("Validator invalid length: value is cut")
        return length
