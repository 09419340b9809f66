"""Cuts a large body into parts: arrays of some elements of an array, or some lines. Pure.

A body comes in pieces that are cut anywhere, and is never in memory as a whole: only a window of about one part is. An
array is cut at a comma between two elements. Where one is, is guessed from the way in which the first element begins,
and verified by the parser, which takes the elements before it apart; a scan of the window's tokens finds one if no
guess was right. What is malformed ends up in a part that is malformed in the same way.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import orjson

_BLANKS: Final = b" \t\n\r"  # of JSON
_NEAR: Final = 16 << 10  # bytes at the end of the window in which a comma is looked for first
_SHOWN: Final = 1 << 10  # bytes of what follows the end of an array
_TOKEN: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|["\[\]{},]', re.DOTALL)
_FIRST_NAME: Final = re.compile(rb'\{[ \t\n\r]*("[^"\\]*")')
_BETWEEN_OBJECTS: Final = re.compile(rb"\}[ \t\n\r]*,[ \t\n\r]*\{")
_BETWEEN_TEXTS: Final = re.compile(rb'"[ \t\n\r]*,[ \t\n\r]*"')
_BETWEEN_ARRAYS: Final = re.compile(rb"\][ \t\n\r]*,[ \t\n\r]*\[")
_COMMA: Final = re.compile(rb",")
_OPENING: Final = {ord("["): ord("]"), ord("{"): ord("}")}


class NotAnArrayError(Exception):
    """The body does not begin with a bracket."""


@dataclass(frozen=True, slots=True)
class ArrayPart:
    """Elements of an array. first: those from its beginning. rest: all that follows, the closing bracket included.

    count: the number of elements; None if the part is malformed.
    """

    content: bytes
    first: bool
    rest: bool
    count: int | None

    @property
    def text(self) -> bytes:
        """The part as an array: malformed if and only if this part of the body is."""
        begin = self.content.lstrip(_BLANKS)[:1]
        if (self.rest and not self.first and begin == b"]") or not (self.rest or begin):
            return self.in_body  # a comma without an element beside it: not an empty array
        return b"[" + self.content + (b"" if self.rest else b"]")

    @property
    def in_body(self) -> bytes:
        """The part with what is before and after it in the body, which a parser's message depends on."""
        return (b"[" if self.first else b"[0,") + self.content + (b"" if self.rest else b",")


def array_parts(pieces: Iterable[bytes], size: int, most: int) -> Iterator[ArrayPart]:
    """Yield the elements of an array in parts of about `size` bytes, or less, and at most `most` elements.

    An element that is longer is a part by itself. Raise NotAnArrayError.
    """
    window = _Window(pieces)
    if not window.skip_blanks() or window.text[:1] != b"[":
        raise NotAnArrayError
    del window.text[:1]
    wanted, first = size, True
    while True:
        window.skip_blanks()
        window.fill(wanted)
        text = window.text
        if window.ended and len(text) <= wanted:
            yield from _counted(bytes(text), most, first=first, rest=True)
            return
        end = _end_of_elements(text)
        if end is None:
            if not _may_continue(text):
                yield ArrayPart(_whole_characters(text), first, rest=True, count=None)
                return
            wanted = 2 * len(text)
            continue
        if text[end] != ord(","):
            yield from _counted(window.closed(end), most, first=first, rest=True)
            return
        yield from _counted(bytes(text[:end]), most, first=first, rest=False)
        del text[: end + 1]
        wanted, first = size, False


def line_parts(pieces: Iterable[bytes], size: int, most: int) -> Iterator[bytes]:
    """Yield the lines of a body, with their ends, in parts of about `size` bytes, or less, and at most `most` lines.

    A line that is longer is a part by itself. An empty body has one part.
    """
    window, begun = bytearray(), False
    for piece in pieces:
        window += piece
        end = window.rfind(b"\n", max(0, len(window) - len(piece))) + 1 if len(window) >= size else 0
        if end:
            yield from _few_lines(bytes(window[:end]), most)
            begun = True
            del window[:end]
    if window or not begun:
        yield from _few_lines(bytes(window), most)


def lines_in(part: bytes) -> int:
    """Return the number of lines of a part."""
    return part.count(b"\n") + (not part.endswith(b"\n"))


def _few_lines(text: bytes, most: int) -> Iterator[bytes]:
    if text.count(b"\n") <= most:
        yield text
        return
    lines = text.split(b"\n")
    rest = lines.pop()
    few = _share(len(lines), most)
    for start in range(0, len(lines), few):
        yield b"\n".join(lines[start : start + few]) + b"\n"
    if rest:
        yield rest


def _share(number: int, most: int) -> int:
    """Return how many of a number of documents a part has, at most `most`: parts of one size, and none of a few."""
    parts = -(-number // most)
    return -(-number // parts)


class _Window:
    """The text that was read and not yielded. ended: nothing follows it."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self.text = bytearray()
        self.ended = False

    def fill(self, size: int) -> None:
        """Read until the text has that many bytes, or ends."""
        while len(self.text) < size and not self.ended:
            piece = next(self._pieces, None)
            if piece is None:
                self.ended = True
            else:
                self.text += piece

    def skip_blanks(self) -> bool:
        """Remove white space in front. Return True if anything follows it."""
        while True:
            self.fill(1)
            rest = self.text.lstrip(_BLANKS)
            if rest or self.ended:
                self.text[:] = rest
                return bool(rest)
            self.text.clear()

    def closed(self, end: int) -> bytes:
        """Return the text up to the array's end, and a part of what follows it, if that is not white space."""
        content = bytes(self.text[: end + 1])
        del self.text[: end + 1]
        if not self.skip_blanks():
            return content
        self.fill(_SHOWN)
        return content + (_whole_characters(self.text[:_SHOWN]) or bytes(self.text))


def _counted(content: bytes, most: int, *, first: bool, rest: bool) -> Iterator[ArrayPart]:
    elements = _elements(b"[" + content if rest else b"[%b]" % content)
    if elements is None or len(elements) <= most:
        yield ArrayPart(content, first, rest, None if elements is None else len(elements))
        return
    share = _share(len(elements), most)
    for start in range(0, len(elements), share):
        few = elements[start : start + share]
        yield ArrayPart(b",".join(few), first and start == 0, rest=False, count=len(few))


def _elements(array: bytes | bytearray) -> Sequence[msgspec.Raw] | None:
    """Return the texts of the elements; None if the array is malformed."""
    try:
        return msgspec.json.decode(array, type=list[msgspec.Raw])
    except (msgspec.DecodeError, RecursionError):
        return None


def _end_of_elements(text: bytearray) -> int | None:
    """Return the place of a comma after an element, the last one if possible, or of the array's closing bracket.

    None if the first element does not end in the text.
    """
    for place in _guesses(text):
        if _elements(b"[" + text[:place] + b"]"):
            return place
    return _scan(text)


def _guesses(text: bytearray) -> Iterator[int]:
    for pattern in _patterns(text):
        for start in (max(0, len(text) - _NEAR), 0):
            places = [found.start() for found in pattern.finditer(text, start)]
            if places:
                yield text.index(b",", places[-1])
                break


def _patterns(text: bytearray) -> Iterator[re.Pattern[bytes]]:
    """Yield patterns of what may be between two elements."""
    kind = text[:1]
    if kind == b"{":
        name = _FIRST_NAME.match(text)
        if name is not None:
            yield re.compile(rb"\}[ \t\n\r]*,[ \t\n\r]*\{[ \t\n\r]*" + re.escape(name[1]))
        yield _BETWEEN_OBJECTS
    elif kind == b'"':
        yield _BETWEEN_TEXTS
    elif kind == b"[":
        yield _BETWEEN_ARRAYS
    else:
        yield _COMMA


def _scan(text: bytearray) -> int | None:
    """Find the end of an element by reading all tokens. A bracket that closes another kind counts as the array's."""
    open_ones: list[int] = []
    found = None
    for token in _TOKEN.finditer(text):
        kind = text[token.start()]
        if kind in _OPENING:
            open_ones.append(_OPENING[kind])
        elif kind == ord(","):
            if not open_ones:
                found = token.start()
        elif kind != ord('"'):
            if not open_ones or open_ones.pop() != kind:
                return token.start()
        elif token.end() == token.start() + 1:
            break  # a string that does not end
    return found


def _may_continue(text: bytearray) -> bool:
    """Return True if the text can be the beginning of JSON elements."""
    try:
        orjson.loads(b"[" + _whole_characters(text))
    except orjson.JSONDecodeError as error:
        return str(error).startswith("unexpected end")
    return False


def _whole_characters(text: bytearray) -> bytes:
    """Return the text without a character at its end that is cut."""
    return bytes(text[: codecs.utf_8_decode(text, "replace", False)[1]])  # noqa: FBT003 - of a C function
