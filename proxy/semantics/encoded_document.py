"""Documents as the server keeps them: the bytes that ArangoDB would print."""

from __future__ import annotations

from typing import Final

_REV: Final = b'"_rev":"'


def revision_of(raw: bytes) -> str:
    """Return the `_rev` of an encoded document: the first in its text, since no value before it can contain a quote."""
    start = raw.index(_REV) + 8
    return raw[start : raw.index(b'"', start)].decode()
