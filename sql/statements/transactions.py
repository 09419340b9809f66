"""Statements of queries/transactions.sql."""

from __future__ import annotations

from typing import NamedTuple

from sql.statement import Statement


class TransactionRow(NamedTuple):
    database: str
    id: str
    lost: bool
    elsewhere: bool


NOTE = Statement("transactions", "note")
OVER = Statement("transactions", "over")
FIND = Statement("transactions", "find", TransactionRow)
RESTARTED = Statement("transactions", "restarted")
FORGET = Statement("transactions", "forget")
