"""The message for a body that is not JSON. Pure.

ArangoDB's message depends on the first mistake, and for some on the rest of the body. What it depends on is collected
piece by piece, so that a body need not be in memory as a whole.
"""

from __future__ import annotations

import codecs
import enum
import re
from typing import Final

from proxy.base.errors import ArangoError

_BARE: Final = re.compile(rb"[{]\s*[^\s\"}]")  # an object whose first attribute has no quotation mark


class Rank(enum.IntEnum):
    """The order in which mistakes are reported, wherever in the body they are. Those of one rank: the first."""

    MALFORMED = 0
    PRINTED = 1  # JSON that cannot be printed
    REPEATED = 2  # an attribute name comes twice
    DEEP = 3


class JsonError(ArangoError):
    """ArangoDB's error for a body that is not JSON. reason: the parser's, for what is malformed."""

    def __init__(self, message: str, rank: Rank, reason: str = "") -> None:
        super().__init__(600, f"VPackError error: {message}")
        self.rank = rank
        self.reason = reason


class BodyFacts:
    """Facts of a whole body that the message for malformed JSON depends on."""

    def __init__(self) -> None:
        self._decoder: codecs.IncrementalDecoder | None = codecs.getincrementaldecoder("utf-8")()
        self._blank = True
        self._begins_object = False  # the text so far ends in a brace, and perhaps white space
        self._bare = False
        self._quoted_first: bool | None = None  # a quotation mark comes before the first brace

    def feed(self, piece: bytes, *, last: bool = False) -> None:
        """Take note of the next piece."""
        if self._decoder is not None:
            try:
                self._decoder.decode(piece, final=last)
            except UnicodeDecodeError:
                self._decoder = None
        if not piece:
            return
        self._blank = self._blank and not piece.strip()
        if self._quoted_first is None:
            brace, quote = piece.find(b"{"), piece.find(b'"')
            if brace >= 0 or quote >= 0:
                self._quoted_first = quote >= 0 and (brace < 0 or quote < brace)
        if not self._bare:
            text = b"{" + piece if self._begins_object else piece
            self._bare = _BARE.search(text) is not None
            self._begins_object = text.rstrip().endswith(b"{")

    def message(self, reason: str) -> str:
        """Return ArangoDB's message for the common mistakes; the parser's reason for all others."""
        if self._decoder is None or "surrogate" in reason:
            return "Invalid UTF-8 sequence"
        if "infinity" in reason:
            return "Number out of range"
        if self._blank:
            return "Expecting digit"
        if self._bare and not self._quoted_first:
            return "Expecting '\"' or '}'"
        return reason.split(":", 1)[0]


def malformed(body: bytes, reason: str, rank: Rank = Rank.MALFORMED) -> JsonError:
    """Return the error for a body that the parser, or the printer, refuses."""
    facts = BodyFacts()
    facts.feed(body, last=True)
    return JsonError(facts.message(reason), rank, reason)
