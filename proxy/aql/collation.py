"""ICU: the order of strings, regular expressions and Unicode case. The only module that imports `icu`.

ArangoDB orders strings by the collation of the server's language with case-first upper and strength identical, and of
two strings that collate equal the shorter comes first; `==` compares bytes (semantics page, section 2). Regular
expressions are ICU's, found anywhere in the text (section 10).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import icu

_STEPS = 2000  # ICU's steps of about a millisecond each

LOCALE = "en-US-u-kf-upper-ks-identic"

_collator = icu.Collator.createInstance(icu.Locale.forLanguageTag(LOCALE))
_root = icu.Locale.getRoot()
_sort_key = _collator.getSortKey
_LONE = re.compile("[\ud800-\udfff]")


@lru_cache(maxsize=8192)
def sort_key(text: str) -> bytes:
    """Return bytes that order strings as ArangoDB's `<` does. A lone surrogate sorts as U+FFFD."""
    try:
        return bytes(_sort_key(text)) + len(text.encode()).to_bytes(4, "big")
    except UnicodeEncodeError:
        clean = _LONE.sub("\ufffd", text)
        return bytes(_sort_key(clean)) + len(clean.encode()).to_bytes(4, "big")


def upper(text: str) -> str:
    """Convert to upper case by Unicode's full mapping, independent of language."""
    return text.upper()


def lower(text: str) -> str:
    """Convert to lower case by ICU's root locale."""
    return text.lower() if text.isascii() else str(icu.UnicodeString(text).toLower(_root))


class Pattern:
    """One compiled ICU regular expression. Positions are in Python's code points."""

    __slots__ = ("_compiled",)

    def __init__(self, compiled: Any) -> None:
        self._compiled = compiled

    def _matcher(self, subject: Any) -> Any:
        matcher = self._compiled.matcher(subject)
        matcher.setTimeLimit(_STEPS)  # an expression that backtracks endlessly matches nothing
        return matcher

    def find(self, text: str) -> bool:
        """Return True if it matches anywhere in the text."""
        return bool(self._matcher(icu.UnicodeString(text)).find())

    def groups(self, text: str) -> list[str] | None:
        """Return the first match and its groups; None without a match. A group without a match is ""."""
        matcher = self._matcher(icu.UnicodeString(text))
        if not matcher.find():
            return None
        return [_text(matcher.group(number)) for number in range(matcher.groupCount() + 1)]

    def replace(self, text: str, replacement: str) -> str | None:
        """Replace every match; `$1` stands for a group. None if the pattern does not have that group."""
        try:
            return str(self._matcher(icu.UnicodeString(text)).replaceAll(icu.UnicodeString(replacement)))
        except icu.ICUError:
            return None

    def split(self, text: str, limit: int | None = None) -> list[str]:
        """Return the parts between matches and the groups of the matches, at most `limit` of them."""
        subject = icu.UnicodeString(text)
        matcher = self._matcher(subject)
        parts: list[str] = []
        start = 0
        while matcher.find():
            if limit is not None and len(parts) >= limit:
                break
            parts.append(str(subject[start : matcher.start()]))
            parts.extend(_text(matcher.group(number)) for number in range(1, matcher.groupCount() + 1))
            start = matcher.end()
        parts.append(str(subject[start:]))
        return parts if limit is None else parts[:limit]


def _text(value: Any) -> str:
    return "" if value is None else str(value)


@lru_cache(maxsize=256)
def compile_pattern(pattern: str, *, ignore_case: bool) -> Pattern | None:
    """Compile a pattern; None if ICU refuses it."""
    try:
        flags = icu.URegexpFlag.CASE_INSENSITIVE if ignore_case else 0
        return Pattern(icu.RegexPattern.compile(icu.UnicodeString(pattern), flags))
    except icu.ICUError:
        return None
