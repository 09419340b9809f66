"""Statements of queries/writes.sql."""

from __future__ import annotations

from typing import NamedTuple

from sql.statement import Statement


class LastKeyRow(NamedTuple):
    last: str
    set_config: str


class FenceRow(NamedTuple):
    revisions: str
    properties: str
    set_config: str


class LoadedRow(NamedTuple):
    key: str
    raw: str | None


PROPERTIES = Statement("writes", "properties", str)
LAST_KEY = Statement("writes", "last_key", LastKeyRow)
SET_LAST_KEY = Statement("writes", "set_last_key")
FENCE = Statement("writes", "fence", FenceRow)
LOAD = Statement("writes", "load", LoadedRow)
DRAW_REVISIONS = Statement("writes", "draw_revisions", int)
WRITE = Statement("writes", "write", str)
EMPTY = Statement("writes", "empty")
