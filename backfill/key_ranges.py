"""Key ranges of a collection, and page sizes. Pure.

Keys are ordered by their bytes, as ArangoDB's primary index and PostgreSQL's "C" collation order them. (Comparing
Python's strings by code point gives the same order as comparing their UTF-8 bytes.)
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass

SMALL = 10_000  # documents: a collection of at most this size is one chunk
CHUNK_DOCUMENTS = 25_000
MOST_CHUNKS = 256
PAGE_DOCUMENTS = 1_000  # rows of an upsert (measurements, "Backfill")
PAGE_BYTES = 4 << 20
FIRST_PAGE = 100  # documents of the first page, while their size is unknown


@dataclass(frozen=True, slots=True)
class KeyRange:
    """Keys above `lower` (None: from the first) up to and including `upper` (None: to the last)."""

    lower: str | None = None
    upper: str | None = None


def chunk_count(documents: int, workers: int = 1) -> int:
    """Return the number of chunks for a collection of that size: one if it is small, else at least two per worker."""
    if documents <= SMALL:
        return 1
    return min(MOST_CHUNKS, max(math.ceil(documents / CHUNK_DOCUMENTS), 2 * workers))


def ranges(samples: Iterable[str], chunks: int) -> tuple[KeyRange, ...]:
    """Return at most `chunks` ranges that together cover every key once, cut at quantiles of the sampled keys.

    Few distinct samples give fewer ranges; no samples give one. Raise ValueError if `chunks` is below 1.
    """
    if chunks < 1:
        raise ValueError("a collection has at least one chunk")
    keys = sorted(set(samples))
    cuts: list[str] = []
    for number in range(1, chunks):
        at = number * (len(keys) + 1) // chunks - 1
        if 0 <= at < len(keys) and (not cuts or keys[at] > cuts[-1]):
            cuts.append(keys[at])
    bounds: list[str | None] = [None, *cuts, None]
    return tuple(KeyRange(lower, upper) for lower, upper in itertools.pairwise(bounds))


def next_limit(current: int, documents: int, size: int, *, most: int = PAGE_DOCUMENTS, wanted: int = PAGE_BYTES) -> int:
    """Return how many documents to request after a page of `documents` documents with `size` bytes in total.

    Aims at `wanted` bytes per page; at most doubles, since the next documents may be larger than these.
    """
    if documents == 0 or size == 0:
        return current
    fitting = wanted * documents // size
    return max(1, min(most, 2 * current, fitting))


def smaller_limit(current: int, size: int, allowed: int) -> int:
    """Return how many documents to request instead of `current`, whose `size` bytes exceeded `allowed`."""
    return max(1, min(current // 2, current * allowed // (2 * size)))
