"""The evaluator's requests to its store, and its results. Frozen values, except for the two-way `StoreRequest`.

`evaluate.run` yields a `Fetch` and is sent a list of documents: dicts with _key, _id and _rev, in any order; a superset
is allowed, because every filter is applied again. Or it yields a `Write` and is sent `(old, new)`, either of which may
be None. A store refuses with `generator.throw(ArangoError(...))`; with ignoreErrors the query continues.

With `QueryOptions.spools` a query may go through more documents than memory holds. Then a store may send a
`DocumentPage` for a `Fetch` that is `paged`, is asked for the following ones by `NextPage`, and also gets `Expect` and
`Pause`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from proxy.aql.values import Value
from proxy.base.errors import ArangoError
from proxy.base.spool import SpooledRows, SpoolSpace

Document = dict[str, Any]
Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fetch:
    """Documents of one collection.

    equalities: attribute paths (never _key, _id, _rev) and the string, bool or number each must equal.
    keys: only documents with these keys; None: any key. among: only documents in which the attribute at a path is one
    of these strings; None: any. count: only their number is needed, which a store may send instead of the documents.
    paged: they are gone through once, so that a store may send a `DocumentPage` of them.
    """

    collection: str
    equalities: tuple[tuple[Path, Value], ...] = ()
    keys: tuple[str, ...] | None = None
    among: tuple[Path, tuple[str, ...]] | None = None
    count: bool = False
    paged: bool = False


@dataclass(frozen=True, slots=True)
class DocumentPage:
    """Some of the documents of a fetch, in the order of keys. token: names the next page to the store that sent it.

    looked_up: they are fetched by their keys; set by the evaluator.
    """

    documents: list[Document]
    token: object
    looked_up: bool = False


@dataclass(frozen=True, slots=True)
class NextPage:
    """The documents that follow a page: a `DocumentPage`, or a list, which is the last one."""

    token: object


@dataclass(frozen=True, slots=True)
class Expect:
    """Notice of the documents that the next writes need, so that a store reads them together. Its answer is None."""

    collection: str
    fetches: tuple[Fetch, ...]


@dataclass(frozen=True, slots=True)
class Pause:
    """The query has run for some milliseconds: others of this process may have their turn. Its answer is None."""


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
    version_attribute: str | None = None


@dataclass(frozen=True, slots=True)
class Write:
    """One document to insert, update, replace or remove.

    kind: "insert" | "update" | "replace" | "remove". key: None if the store generates one. document: as the query gives
    it, system attributes included (an update or replace has `_rev` if revisions must match); of a removal None, or the
    `_rev` that must match. answered: False if the query needs neither OLD nor NEW: a store may send None for both.
    """

    kind: str
    collection: str
    key: str | None
    document: Document | None
    options: WriteOptions
    answered: bool = True


Action: TypeAlias = Fetch | NextPage | Write | Expect | Pause


class StoreRequest:
    """One request on its way from the pipeline to the store, and its answer on the way back."""

    __slots__ = ("action", "error", "result")

    def __init__(self, action: Action) -> None:
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
    """The counters of extra.stats. looked_up: documents that were fetched by their keys, as from an index."""

    writes_executed: int = 0
    writes_ignored: int = 0
    scanned: int = 0
    looked_up: int = 0
    filtered: int = 0

    def as_json(self, full_count: int | None, seconds: float) -> dict[str, Any]:
        """Return the object `extra.stats` as ArangoDB prints it."""
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
class QueryOptions:
    """How to run a query.

    memory_limit: bytes held at one time (an estimate from samples), max_runtime: seconds; 0 means no limit. database,
    user: the values of CURRENT_DATABASE and CURRENT_USER. pause: waits for SLEEP; None if queries must not wait.
    no_user_functions: the server is known to have none, so a call of one is an error. ties: look for equal sort keys
    that leave the result open (`Result.order_undetermined`). seed: of random numbers, moment: milliseconds since 1970,
    so that a query that is run again makes the same; None if it need not. spools: where rows wait that would take much
    memory, those of the result too; None: in memory. counts_spooled: rows that wait there count as memory as well: the
    limit is the client's, and ArangoDB has them in memory.
    """

    full_count: bool = False
    fail_on_warning: bool = False
    max_warnings: int = 10
    memory_limit: int = 0
    max_runtime: float = 0.0
    database: str = "_system"
    user: str | None = None
    pause: Callable[[float], None] | None = None
    no_user_functions: bool = False
    ties: bool = False
    seed: int | None = None
    moment: int | None = None
    spools: SpoolSpace | None = None
    counts_spooled: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a query.

    groups: if the last SORT decides the order of rows, the sizes of the runs of equal sort key; each run compares as a
    multiset. None: the whole result is one multiset.
    cut: if a LIMIT cut the first or the last run, the rows that the whole run would give, for comparison by membership;
    at least one of the two is not None.
    order_undetermined: with `QueryOptions.ties`, a SORT that does not decide the order of rows (in a subquery, before a
    COLLECT or another SORT) met equal keys, so that their order, or which of them a LIMIT let through, may show.
    spooled: with `QueryOptions.spools`, the rows, printed, in place of `rows`; `groups` and `cut` are None then.
    """

    rows: list[Value]
    groups: tuple[int, ...] | None
    cut: tuple[list[Value] | None, list[Value] | None] | None
    warnings: tuple[QueryWarning, ...]
    stats: Stats = field(default_factory=Stats)
    full_count: int | None = None
    order_undetermined: bool = False
    spooled: SpooledRows | None = None
