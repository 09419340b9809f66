"""The checksum of a set of documents: the sum, modulo 2^256, of the sha256 of each as ArangoDB printed it. Pure.

It does not depend on order, and sums of parts add up: so it can be taken piece by piece, by PostgreSQL itself in one
aggregate (sql/queries/archive.sql, `digest`), and again after a restart. It tells that two sets are the same unless
somebody forged them on purpose; against that, sign the manifest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

_MODULUS: Final = 1 << 256
_WORD: Final = 32
EMPTY: Final = f"{0:064x}"


def of_documents(raws: Iterable[bytes]) -> str:
    """64 hexadecimal digits."""
    total = 0
    for raw in raws:
        total += int.from_bytes(hashlib.sha256(raw).digest())
    return text(total)


def text(total: int) -> str:
    """A sum of digests, as text."""
    return f"{total % _MODULUS:064x}"


def add(digests: Iterable[str]) -> str:
    """The checksum of disjoint sets together."""
    return text(sum(int(one, 16) for one in digests))


def of_words(words: Sequence[int]) -> str:
    """From the sums of the eight 32-bit words of each document's sha256, the first word first."""
    total = 0
    for word in words:
        total = (total << _WORD) + word
    return text(total)


def fingerprinted(result: Mapping[str, Any], raws: Iterable[bytes]) -> dict[str, Any]:
    """A chunk's result with these documents added to its `fingerprint`, for the checkpoint of their page."""
    return {**result, "fingerprint": add((result.get("fingerprint", EMPTY), of_documents(raws)))}
