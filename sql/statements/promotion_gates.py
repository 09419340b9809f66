"""Statements of queries/promotion_gates.sql."""

from __future__ import annotations

from typing import NamedTuple

from sql.statement import Single, Statement


class FlippedRow(NamedTuple):
    stage: str
    weight: int
    seconds: float
    mismatches: int
    compared: int


class OpenTransactionRow(NamedTuple):
    id: str
    instance: str
    lost: bool
    seconds: float


class SameShapeRow(NamedTuple):
    shape: str
    collections: list[str]


class PassedEndpointRow(NamedTuple):
    endpoint: str
    seen: int


class PassedRequestRow(NamedTuple):
    endpoint: str
    reason: str
    seen: int


class NotCarriedRow(NamedTuple):
    rows: int
    age: float


class RefusedOfRow(NamedTuple):
    key: str
    reason: str


FLIPPED = Statement("promotion_gates", "flipped", FlippedRow)
TRANSACTIONS = Statement("promotion_gates", "transactions", OpenTransactionRow)
SAME_SHAPE = Statement("promotion_gates", "same_shape", SameShapeRow)
OF_NO_COLLECTION = Statement("promotion_gates", "of_no_collection", PassedEndpointRow)
CLOCK = Single("promotion_gates", "clock", float)
PASSED_SINCE = Statement("promotion_gates", "passed_since", PassedRequestRow)
NOT_CARRIED = Single("promotion_gates", "not_carried", NotCarriedRow)
REFUSED_OF = Statement("promotion_gates", "refused_of", RefusedOfRow)
