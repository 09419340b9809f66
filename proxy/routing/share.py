"""The share of reads that a flip with a weight sends to PostgreSQL."""

from __future__ import annotations

import zlib


def in_percentage(text: bytes, weight: int) -> bool:
    """Return True if this document or query is among the `weight` percent: sticky, the same on every instance."""
    return weight >= 100 or (weight > 0 and zlib.crc32(text) % 100 < weight)
