"""What the evaluator asks of its store, and what it gives back. Frozen values, but for the two-way `Request`.

`evaluate.run` yields a `Fetch` and is sent a list of documents (dicts with _key, _id, _rev, any order, a superset is
fine: every filter is applied again); or it yields a `Write` and is sent `(old, new)`, either of which may be None. A
store that refuses says so with `generator.throw(ArangoError(...))`: where the query has ignoreErrors it goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from proxy.aql.values import Value
from proxy.base.errors import ArangoError

Document = dict[str, Any]
Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fetch:
    """Documents of one collection.

    equalities: attribute paths (never _key, _id, _rev) and the string, bool or number each must equal.
    keys: only documents with these keys; None: any key. among: only documents in which the attribute at a path is one
    of these strings; None: any. count: only their number is wanted, which a store may send instead of the documents.
    """

    collection: str
    equalities: tuple[tuple[Path, Value], ...] = ()
    keys: tuple[str, ...] | None = None
    among: tuple[Path, tuple[str, ...]] | None = None
    count: bool = False


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """The OPTIONS of a modification that concern the store.

    overwrite_mode, of an insert: None (a duplicate key is error 1210), "ignore", "replace", "update", "conflict".
    """

    keep_null: bool = True
    merge_objects: bool = True
    overwrite_mode: str | None = None
    ignore_revs: bool = True
    ignore_errors: bool = False
    wait_for_sync: bool | None = None
    exclusive: bool = False
    version_attribute: str | None = None


@dataclass(frozen=True, slots=True)
class Write:
    """One document to insert, update, replace or remove.

    kind: "insert" | "update" | "replace" | "remove". key: None where the store makes one. document: what the query
    says, system attributes included as it has them (an update or replace has `_rev` where revisions are to match);
    of a removal None, or the `_rev` to match.
    """

    kind: str
    collection: str
    key: str | None
    document: Document | None
    options: WriteOptions


class Request:
    """One question on its way from the pipeline to the store, and its answer on the way back."""

    __slots__ = ("action", "error", "result")

    def __init__(self, action: Fetch | Write) -> None:
        self.action = action
        self.result: Any = None
        self.error: ArangoError | None = None


@dataclass(frozen=True, slots=True)
class QueryWarning:
    """One entry of extra.warnings."""

    code: int
    message: str


@dataclass(slots=True)
class Stats:
    """What extra.stats counts. looked_up: documents that were fetched by their keys, as from an index."""

    writes_executed: int = 0
    writes_ignored: int = 0
    scanned: int = 0
    looked_up: int = 0
    filtered: int = 0

    def as_json(self, full_count: int | None, seconds: float) -> dict[str, Any]:
        """The object `extra.stats` as ArangoDB prints it."""
        body: dict[str, Any] = {
            "writesExecuted": self.writes_executed,
            "writesIgnored": self.writes_ignored,
            "documentLookups": 0,
            "seeks": 0,
            "scannedFull": self.scanned,
            "scannedIndex": self.looked_up,
            "cursorsCreated": 0,
            "cursorsRearmed": 0,
            "cacheHits": 0,
            "cacheMisses": 0,
            "filtered": self.filtered,
            "httpRequests": 0,
            "executionTime": seconds,
            "peakMemoryUsage": 0,
            "intermediateCommits": 0,
            "searchParallelism": 1,
        }
        if full_count is not None:
            body["fullCount"] = full_count
        return body


@dataclass(frozen=True, slots=True)
class Options:
    """How to run a query. memory_limit is in bytes of what is held at once (an estimate, sampled), max_runtime in
    seconds; 0 is no limit. database and user are what the functions of these names give."""

    full_count: bool = False
    fail_on_warning: bool = False
    max_warnings: int = 10
    memory_limit: int = 0
    max_runtime: float = 0.0
    database: str = "_system"
    user: str | None = None
    # what SLEEP does with its seconds; None where nothing may be made to wait
    pause: Callable[[float], None] | None = None
    # whether a name of a user function that is called by CALL is known to be none, since the server has none
    no_user_functions: bool = False
    ties: bool = False  # whether to look for equal sort keys that leave the result open: `Result.torn`


@dataclass(frozen=True, slots=True)
class Result:
    """What a query gave.

    groups: where the last SORT decides the order of rows, the sizes of the runs of equal sort key: each run compares as
    a multiset. None: the whole result is one multiset.
    cut: where a LIMIT cut the first or the last run, the rows that the whole run would give, for comparison by
    membership; (None, None) is never given, it is None then.
    torn: where `Options.ties` asked: a SORT that is not the last word on the order of rows (in a subquery, before a
    COLLECT or another SORT) met equal keys, so that their order, or which of them a LIMIT let through, may show.
    """

    rows: list[Value]
    groups: tuple[int, ...] | None
    cut: tuple[list[Value] | None, list[Value] | None] | None
    warnings: tuple[QueryWarning, ...]
    stats: Stats = field(default_factory=Stats)
    full_count: int | None = None
    torn: bool = False
