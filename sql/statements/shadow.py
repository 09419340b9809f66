"""Statements of queries/shadow.sql."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sql.statement import Single, Statement


class FiguresRow(NamedTuple):
    collection: str
    compared: int
    matched: int
    ignored: int
    mismatched: int
    undecided: int
    unsupported: int
    lagged: int


class MismatchRow(NamedTuple):
    id: int
    collection: str
    fingerprint: str
    kind: str
    paths: list[str]
    state: str
    seen: int
    first_seen: datetime
    last_seen: datetime
    keys: list[str]
    samples: str


class RulesRow(NamedTuple):
    sampling: str
    tolerances: str
    baseline: str


class ToleranceRow(NamedTuple):
    """One tolerance. seen: comparisons that were equal under the tolerances of its collection, this among them."""

    id: int
    collection: str
    path: str
    rule: str
    argument: float | None
    reason: str
    actor: str
    added_at: datetime
    seen: int


class BaselineRow(NamedTuple):
    """A finding of baseline checks: class and path at which ArangoDB differs from itself.

    Class '' counts reads that agreed, `undecided` reads with a write in between. subtracted: mismatches that were
    ignored for it.
    """

    collection: str
    shape: str
    text: str | None
    kind: str
    path: str
    number: int
    subtracted: int
    last_seen: datetime


class RuleRow(NamedTuple):
    collection: str
    path: str
    rule: str
    argument: float | None


class SamplingRow(NamedTuple):
    """Shares of a collection, or of one query shape of it (shape not empty), in percent; None: as set elsewhere."""

    collection: str
    shape: str
    text: str | None
    percent: float | None
    baseline_percent: float | None
    changed_at: datetime


class BeatsRow(NamedTuple):
    now: float
    instance: str | None
    at: float | None
    lag: float | None


class DocumentRow(NamedTuple):
    key: str
    raw: str
    doc: str


TRANSACTION_ID = Single("shadow", "transaction_id", str)
TRANSACTION_STATUS = Single("shadow", "transaction_status", str)
ADD_SHAPES = Statement("shadow", "add_shapes")
ADD_COMPARISONS = Statement("shadow", "add_comparisons")
ADD_MISMATCH = Single("shadow", "add_mismatch", str)
COUNT_MISMATCHES = Statement("shadow", "count_mismatches")
FIGURES = Statement("shadow", "figures", FiguresRow)
LIST_MISMATCHES = Statement("shadow", "list_mismatches", MismatchRow)
SHOW_MISMATCH = Statement("shadow", "show_mismatch", MismatchRow)
MARK_MISMATCHES = Statement("shadow", "mark_mismatches", str)
RESET_COMPARISONS = Statement("shadow", "reset_comparisons")
ADD_SKIPPED = Statement("shadow", "add_skipped")
ADD_TOLERATED = Statement("shadow", "add_tolerated")
ADD_BASELINE = Statement("shadow", "add_baseline")
ADD_SUBTRACTED = Statement("shadow", "add_subtracted")
RULES = Single("shadow", "rules", RulesRow)
LIST_TOLERANCES = Statement("shadow", "list_tolerances", ToleranceRow)
LIST_BASELINE = Statement("shadow", "list_baseline", BaselineRow)
ADD_TOLERANCE = Single("shadow", "add_tolerance", int)
REMOVE_TOLERANCE = Statement("shadow", "remove_tolerance", RuleRow)
REMOVE_BASELINE = Single("shadow", "remove_baseline", int)
SET_SAMPLING = Statement("shadow", "set_sampling")
CLEAR_SAMPLING = Single("shadow", "clear_sampling", int)
LIST_SAMPLING = Statement("shadow", "list_sampling", SamplingRow)
FIND_SHAPES = Statement("shadow", "find_shapes", str)
FORGET_MISMATCHES = Single("shadow", "forget_mismatches", int)
FORGET_SAMPLES = Single("shadow", "forget_samples", int)
FIND_MISMATCH = Statement("shadow", "find_mismatch", int)
BEATS = Statement("shadow", "beats", BeatsRow)
SOME_KEYS = Statement("shadow", "some_keys", str)
ROWS = Statement("shadow", "rows", DocumentRow)
PUT_REPRODUCTION = Statement("shadow", "put_reproduction")
FORGET_REPRODUCTION = Statement("shadow", "forget_reproduction")
DROP_REPRODUCTION = Single("shadow", "drop_reproduction", str)
EXPLAIN_MISMATCH = Statement("shadow", "explain_mismatch")
