"""Statements of queries/store.sql."""

from __future__ import annotations

from typing import NamedTuple

from sql.statement import Single, Statement, unpacked

# (holds, raw) and (holds, key, raw) of many documents
HeldDocument = tuple[bool, str | None]
HeldKeyDocument = tuple[bool, str | None, str | None]


class HeldKeyRow(NamedTuple):
    holds: bool
    key: str | None
    raw: str | None


class HeldRow(NamedTuple):
    holds: bool
    raw: str | None


class HeldInGraphRow(NamedTuple):
    holds: bool
    raw: str | None
    graph: str | None


class HeldNumberRow(NamedTuple):
    holds: bool
    number: int | None


COUNT = Single("store", "count", int)
READ = Statement("store", "read", HeldRow)
READ_MANY: Statement[HeldKeyDocument] = unpacked("store", "read_many", HeldKeyRow)
READ_IN_GRAPH = Statement("store", "read_in_graph", HeldInGraphRow)
ANY: Statement[HeldDocument] = unpacked("store", "any", HeldRow)
SCAN: Statement[HeldDocument] = unpacked("store", "scan", HeldRow)
SCAN_KEYS: Statement[HeldDocument] = unpacked("store", "scan_keys", HeldRow)
SCAN_CONTAINING: Statement[HeldDocument] = unpacked("store", "scan_containing", HeldRow)
SCAN_AMONG: Statement[HeldDocument] = unpacked("store", "scan_among", HeldRow)
PAGES = Statement("store", "pages", str)
PAGES_KEYS = Statement("store", "pages_keys", str)
PAGES_CONTAINING = Statement("store", "pages_containing", str)
PAGES_AMONG = Statement("store", "pages_among", str)
SCAN_COUNT = Single("store", "scan_count", HeldNumberRow)
HOLDS = Single("store", "holds", bool)
FENCED = Statement("store", "fenced", tuple)
FENCED_COUNT = Single("store", "fenced_count", HeldNumberRow)
HAS_ICU = Single("store", "has_icu", bool)
INDEXED = Single("store", "indexed", list[str])
SMALL = Single("store", "small", bool)
