"""Key ranges of a collection, and how large its pages are. Pure.

Keys are ordered by their bytes, as ArangoDB's primary index and PostgreSQL's "C" collation order them. (Comparing
Python's strings by code point gives the same order as comparing their UTF-8 bytes.)
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass

SMALL = 10_000  # documents: up to here one chunk
CHUNK_DOCUMENTS = 25_000
MOST_CHUNKS = 256
PAGE_DOCUMENTS = 1_000  # rows an upsert (measurements, "Backfill")
PAGE_BYTES = 4 << 20
FIRST_PAGE = 100  # documents of a first page, before anything is known of their size


@dataclass(frozen=True, slots=True)
class KeyRange:
    """Keys above `lower` (None: from the first) up to and with `upper` (None: to the last)."""

    lower: str | None = None
    upper: str | None = None

    def holds(self, key: str) -> bool:
        return (self.lower is None or key > self.lower) and (self.upper is None or key <= self.upper)


def chunk_count(documents: int, workers: int = 1) -> int:
    """How many chunks a collection of that size gets: one where it is small, else at least two a worker."""
    if documents <= SMALL:
        return 1
    return min(MOST_CHUNKS, max(math.ceil(documents / CHUNK_DOCUMENTS), 2 * workers))


def ranges(samples: Iterable[str], chunks: int) -> tuple[KeyRange, ...]:
    """At most that many ranges which together hold every key once, cut at quantiles of the sampled keys.

    Too few distinct samples make fewer ranges; none make one. Raises ValueError where chunks is below 1.
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
    """How many documents to ask for next, after a page of `documents` that were `size` bytes in all.

    Aims at `wanted` bytes a page; grows at most twofold, since the next documents may be larger than these.
    """
    if documents == 0 or size == 0:
        return current
    fitting = wanted * documents // size
    return max(1, min(most, 2 * current, fitting))


def smaller_limit(current: int, size: int, allowed: int) -> int:
    """How many documents to ask for again, after an answer for `current` of them had `size` bytes, above `allowed`."""
    return max(1, min(current // 2, current * allowed // (2 * size)))
