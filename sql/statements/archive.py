"""Statements of queries/archive.sql."""

from __future__ import annotations

from typing import NamedTuple

from sql.statement import Single, Statement


class PageRow(NamedTuple):
    key: str
    rev: int
    raw: str


class DigestRow(NamedTuple):
    documents: int
    bytes: int
    w1: str
    w2: str
    w3: str
    w4: str
    w5: str
    w6: str
    w7: str
    w8: str


PAGE = Statement("archive", "page", PageRow)
DIGEST = Single("archive", "digest", DigestRow)
BY_KEYS = Statement("archive", "by_keys", PageRow)
