"""Cut attributes out of JSON text without changing any other byte (I6). Pure.

The fast ways assume ArangoDB's format (compact, `new` last) and verify it; the slow ways accept any JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

_ITEMS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_PARTS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_BLANK: Final = re.compile(r"[ \t\r\n]*")
_BEFORE: Final = re.compile(rb"[ \t\r\n]*[{,][ \t\r\n]*")
_BETWEEN: Final = re.compile(rb"[ \t\r\n]*:[ \t\r\n]*")
_TRIES: Final = 4  # successive borders that are tried before the search skips ahead
_SCAN: Final = json.JSONDecoder(strict=False)
_BORDER: Final = re.compile(rb'\},\{"(?:_id|error)":')  # between two elements of an answer to a write, or in a document


class Member(NamedTuple):
    """One attribute of an object: the span of the member and of its value, in bytes."""

    name: str
    start: int
    value: int
    end: int


def cut_new(body: bytes, new: bytes) -> bytes:
    """Return the object without its attribute `new`. new: the text of its value."""
    start = len(body) - len(new) - 8
    if start > 0 and body[start : start + 7] == b',"new":' and body.endswith(new + b"}"):
        return body[:start] + b"}"
    return cut(body, "new")


def cut(body: bytes, name: str) -> bytes:
    """Return the object without that attribute and its comma. Raise ValueError if it is not a JSON object."""
    found = list(members(body))
    for index, member in enumerate(found):
        if member.name == name:
            if index > 0:
                return body[: found[index - 1].end] + body[member.end :]
            following = found[1].start if len(found) > 1 else member.end
            return body[: member.start] + body[following:]
    return body


def members(body: bytes) -> Iterator[Member]:
    """Return the attributes of a JSON object, with their places. Raise ValueError if it is not one."""
    found = _members_fast(body)
    return _members(body) if found is None else iter(found)


def _members_fast(body: bytes) -> list[Member] | None:
    """Find the attributes without parsing values. Return None if a name is repeated or escaped, or on an error."""
    try:
        parts = _PARTS.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    found: list[Member] = []
    position = 0
    for name, value in parts.items():
        before = _BEFORE.match(body, position)
        start = before.end() if before is not None else 0
        quoted = b'"' + name.encode() + b'"'
        between = _BETWEEN.match(body, start + len(quoted))
        if before is None or between is None or not body.startswith(quoted, start):
            return None
        position = between.end() + len(memoryview(value))
        if body[between.end() : position] != memoryview(value):
            return None
        found.append(Member(name, start, between.end(), position))
    return found if body[position:].strip(b" \t\r\n") in (b"}", b"{}") else None


def _members(body: bytes) -> Iterator[Member]:
    # latin-1: one character a byte, and the structure of JSON is ASCII
    text = body.decode("latin-1")
    position = _skip(text, 0, "{")
    if text[position : position + 1] == "}":
        return
    while True:
        start = position
        if text[position : position + 1] != '"':
            raise ValueError(f"no name at {position}")
        name, position = _value(text, position)
        value = _skip(text, position, ":")
        _, position = _value(text, value)
        yield Member(str(name).encode("latin-1", "replace").decode("utf-8", "replace"), start, value, position)
        following = _blank(text, position)
        if text[following : following + 1] == "}":
            return
        position = _skip(text, position, ",")


def elements(body: bytes) -> list[bytes]:
    """Return the text of each element of a JSON array. Raise ValueError if it is not one."""
    try:
        return [bytes(item) for item in _ITEMS.decode(body)]
    except msgspec.DecodeError:
        return list(_elements(body))


def elements_in_pieces(body: bytes, size: int) -> Iterator[list[bytes]]:
    """Yield the elements in lists of a little more than `size` bytes, if the array is an answer of ArangoDB to a write.

    The bytes of a border between two elements may occur in a document. But a piece begins with an element, so it ends
    with one if it is a valid JSON array in brackets. A body without borders is one piece.
    """
    position, at, tries = 1, 1 + size, 0
    while body[:1] == b"[" and (border := _BORDER.search(body, at)) is not None:
        end = border.start() + 1
        try:
            items = _ITEMS.decode(b"[" + body[position:end] + b"]")
        except msgspec.DecodeError:  # try the next borders, then one far ahead: all tries together read little more
            tries += 1
            at = end if tries % _TRIES else position + 2 * (end - position)
            continue
        yield [bytes(item) for item in items]
        position, at, tries = end + 1, end + 1 + size, 0
    yield elements(body if position == 1 else b"[" + body[position:])


def _elements(body: bytes) -> Iterator[bytes]:
    text = body.decode("latin-1")
    position = _skip(text, 0, "[")
    if text[position : position + 1] == "]":
        return
    while True:
        start = position
        _, position = _value(text, position)
        yield body[start:position]
        following = _blank(text, position)
        if text[following : following + 1] == "]":
            return
        position = _skip(text, position, ",")


def _value(text: str, position: int) -> tuple[object, int]:
    value, end = _SCAN.raw_decode(text, position)
    return value, end


def _blank(text: str, position: int) -> int:
    matched = _BLANK.match(text, position)
    assert matched is not None  # it matches the empty text as well
    return matched.end()


def _skip(text: str, position: int, mark: str) -> int:
    """Return the position after blanks, that mark, and blanks. Raise ValueError if the mark is not there."""
    position = _blank(text, position)
    if text[position : position + 1] != mark:
        raise ValueError(f"no {mark} at {position}")
    return _blank(text, position + 1)
