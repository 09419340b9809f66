"""The checksum of a document; that of a collection is the exclusive or of all. Pure."""

from __future__ import annotations

import hashlib
from typing import Any

Document = dict[str, Any]


def document_checksum(document: Document, *, revisions: bool, data: bool) -> int:
    """Return a number of 64 bits, equal for equal keys (and revisions, and contents)."""
    part: list[Any] = [document["_key"]]
    if revisions:
        part.append(document["_rev"])
    if data:
        part.append(sorted((name, repr(value)) for name, value in document.items() if name not in ("_id", "_rev")))
    # not a linear checksum: those of four keys like a0, a1, a2 and a3 would cancel each other out
    digest = hashlib.blake2b(repr(part).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big")
