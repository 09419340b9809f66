"""Statements of queries/archive.sql."""

from __future__ import annotations

from typing import NamedTuple

from sql.statement import Single, Statement


class CollectionRow(NamedTuple):
    collection: str
    database: str
    name: str
    edge: bool
    relation: str
    stage: str


class PageRow(NamedTuple):
    key: str
    rev: int
    raw: str


class SumsRow(NamedTuple):
    key: str
    digest: bytes


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


ENTRY = Statement("archive", "entry", CollectionRow)
ENSURE = Single("archive", "ensure", CollectionRow)
PAGE = Statement("archive", "page", PageRow)
SUMS = Statement("archive", "sums", SumsRow)
COUNT = Single("archive", "count", int)
DIGEST = Single("archive", "digest", DigestRow)
