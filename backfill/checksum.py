"""The checksum of a set of documents: the sum, modulo 2^256, of the sha256 of each as ArangoDB printed it. Pure.

It does not depend on order, and the checksums of disjoint parts add up. So it can be computed in pieces, continued
after a restart, and computed by PostgreSQL in one aggregate (sql/queries/archive.sql, `digest`). Equal checksums mean
equal sets unless they were forged deliberately; to exclude that, sign the manifest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

_MODULUS: Final = 1 << 256
_WORD: Final = 32
EMPTY: Final = f"{0:064x}"


def of_documents(raws: Iterable[bytes]) -> str:
    """Return the checksum of these documents: 64 hexadecimal digits."""
    total = 0
    for raw in raws:
        total += int.from_bytes(hashlib.sha256(raw).digest())
    return text(total)


def text(total: int) -> str:
    """Return a sum of digests as text."""
    return f"{total % _MODULUS:064x}"


def add(digests: Iterable[str]) -> str:
    """Return the checksum of the union of disjoint sets."""
    return text(sum(int(one, 16) for one in digests))


def of_words(words: Sequence[int]) -> str:
    """Return the checksum from the sums of the eight 32-bit words of each document's sha256, the high word first."""
    total = 0
    for word in words:
        total = (total << _WORD) + word
    return text(total)


def fingerprinted(result: Mapping[str, Any], raws: Iterable[bytes]) -> dict[str, Any]:
    """Return a chunk's result with these documents added to its `fingerprint`, for the checkpoint of their page."""
    return {**result, "fingerprint": add((result.get("fingerprint", EMPTY), of_documents(raws)))}
