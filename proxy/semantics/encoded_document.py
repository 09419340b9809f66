"""Documents as the server keeps them: the bytes that ArangoDB would print."""

from __future__ import annotations

from typing import Final

from proxy.model import json_reader

_REV: Final = b'"_rev":"'


def revision_of(raw: bytes) -> str:
    """Return the `_rev` of an encoded document: the first in its text, since no value before it can contain a quote.

    A SQL client may have written the text with blanks in it: then it is parsed.
    """
    start = raw.find(_REV) + 8
    if start < 8:
        return str(json_reader.load(raw)["_rev"])
    return raw[start : raw.index(b'"', start)].decode()
