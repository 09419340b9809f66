"""The context of one run of a query: warnings, limits, bind variables, fetched documents."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Generator, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

from proxy.aql.requests import (
    Document,
    DocumentPage,
    Fetch,
    NextPage,
    Pause,
    QueryOptions,
    QueryWarning,
    Stats,
    StoreRequest,
)
from proxy.aql.values import Value, hash_key
from proxy.base.arango_errors import ARANGO_ERRORS
from proxy.base.errors import ArangoError

Steps: TypeAlias = Generator[StoreRequest, None, Value]

MAX_ELEMENTS = 10_000_000  # of one range or array that a function makes (ArangoDB's own limit for ranges)
MAX_TEXT = 1 << 26  # characters of one string that a function makes
_CACHED = 20_000  # documents kept within one run
_FETCH_SIZE = 500  # keys or values that one fetch asks for
_ELEMENT = 128  # approximate bytes of a row or element that is kept
_SAMPLED = 8  # documents whose average size is taken for all
_TURN = 0.003  # seconds for which a query runs before others have their turn


class QueryContext:
    """The context of one run, never shared.

    quiet: a filter is evaluated ahead of its turn, and must not warn. order_undetermined: equal sort keys were met
    whose order shows.
    """

    def __init__(self, binds: Mapping[str, Value], options: QueryOptions) -> None:
        self.binds = binds
        self.options = options
        self.warnings: list[QueryWarning] = []
        self.stats = Stats()
        self._random: random.Random | None = None
        self.quiet = False
        self.full_count: int | None = None
        self.order_undetermined = False
        self._now = options.moment
        self._fetched: dict[Any, list[Document]] = {}
        self._cached = 0
        self._held = 0
        self._turn = time.perf_counter()
        self._deadline = time.monotonic() + options.max_runtime if options.max_runtime else None

    @property
    def now(self) -> int:
        """Milliseconds since 1970, the same for the whole query."""
        if self._now is None:
            self._now = time.time_ns() // 1_000_000
        return self._now

    @property
    def random(self) -> random.Random:
        """The random numbers of the run; seeded on first use, which costs more than starting the run."""
        if self._random is None:
            self._random = random.Random(self.options.seed)  # noqa: S311 - RAND() needs no secrecy
        return self._random

    def warn(self, code: int, message: str) -> None:
        """Add a warning. Raise it as an error if the query runs with failOnWarning."""
        if self.quiet:
            return
        if self.options.fail_on_warning:
            raise ArangoError(code, f"AQL: {message} (while executing)", status=400)
        if len(self.warnings) < self.options.max_warnings:
            self.warnings.append(QueryWarning(code, message))

    def warn_invalid_argument(self, function: str) -> None:
        """Add warning 1542: an argument of a wrong type; the result of the function is null."""
        self.warn(1542, ARANGO_ERRORS[1542].message % function)

    def warn_in_function(self, function: str, code: int, message: str | None = None) -> None:
        """Add another warning of a function, by default with the message of its code."""
        self.warn(code, f"in function '{function}()': {message or ARANGO_ERRORS[code].message}")

    def warn_no_array(self, function: str) -> None:
        """Add warning 1563: an array is expected; the result of the function is null."""
        self.warn_in_function(function, 1563)

    def argument_error(self, function: str) -> ArangoError:
        """Return error 1542, for the few functions that end the query if an argument has a wrong type."""
        return ArangoError(1542, f"AQL: {ARANGO_ERRORS[1542].message % function} (while executing)")

    def check_time(self) -> None:
        """Raise ArangoError 1500 if the query has exceeded its time limit."""
        if self._deadline is not None and time.monotonic() > self._deadline:
            raise ArangoError(1500, "AQL: query killed because it exceeded its maxRuntime (while executing)")

    def pause_if_due(self) -> Generator[StoreRequest, None, None]:
        """Let others have their turn, if the query has run for some milliseconds and its caller awaits the store."""
        if self.options.spools is not None and time.perf_counter() - self._turn > _TURN:
            yield StoreRequest(Pause())
            self._turn = time.perf_counter()

    def count_memory(self, count: int, each: int = _ELEMENT) -> None:
        """Count elements that are kept, of `each` bytes.

        Raise ArangoError 32 beyond the memory limit, 1500 beyond the time limit.
        """
        self._held += count * each
        limit = self.options.memory_limit
        if limit and self._held > limit:
            raise ArangoError(32, "AQL: query would use more memory than allowed (while executing)")
        if self._deadline is not None:
            self.check_time()

    def check_size(self, count: int, most: int = MAX_ELEMENTS) -> int:
        """Check the size of a value that a function is about to make. Raise ArangoError 32 if it is too large."""
        if count > most:
            raise ArangoError(32, "AQL: resource limit exceeded: value too large (while executing)")
        return count

    def fetch(self, fetch: Fetch) -> Generator[StoreRequest, None, list[Document]]:
        """Return the documents of a fetch: from the store, or from the same fetch earlier in this run."""
        key = _identity(fetch)
        found = self._fetched.get(key)
        if found is None:
            found = yield from self._asked(fetch)
            self._keep(key, found)
        return found

    def scan(self, fetch: Fetch) -> Generator[StoreRequest, None, list[Document] | DocumentPage]:
        """Return the documents of a fetch, or the first of them if they are many and can be had page by page."""
        if self.options.spools is None:
            return (yield from self.fetch(fetch))
        key = _identity(fetch)
        found: list[Document] | DocumentPage | None = self._fetched.get(key)
        if found is None:
            found = yield from self._asked(replace(fetch, paged=True))
            if isinstance(found, DocumentPage):
                return self._noted(found, looked_up=fetch.keys is not None)
            self._keep(key, found)
        return found

    def next_page(self, page: DocumentPage) -> Generator[StoreRequest, None, list[Document] | DocumentPage]:
        """Return the documents that follow a page."""
        found: list[Document] | DocumentPage = yield from self._asked(NextPage(page.token))
        return self._noted(found, looked_up=page.looked_up)

    def _noted(self, found: list[Document] | DocumentPage, *, looked_up: bool) -> list[Document] | DocumentPage:
        """Count documents of a scan that are not kept."""
        number = len(found.documents if isinstance(found, DocumentPage) else found)
        if looked_up:
            self.stats.looked_up += number
        else:
            self.stats.scanned += number
        return replace(found, looked_up=looked_up) if isinstance(found, DocumentPage) else found

    def _asked(self, fetch: Fetch | NextPage) -> Generator[StoreRequest, None, Any]:
        request = StoreRequest(fetch)
        yield request
        if request.error is not None:
            raise request.error
        found = request.result
        if isinstance(fetch, Fetch) and found.__class__ is list:
            if fetch.keys is None:
                self.stats.scanned += len(found)
            else:
                self.stats.looked_up += len(found)
            if self.options.memory_limit:
                self.count_memory(len(found), size_of(found))
        return found

    def _keep(self, key: Any, found: list[Document]) -> None:
        self._cached += len(found) + 1
        if self._cached > _CACHED:
            self._fetched.clear()
            self._cached = len(found) + 1
        self._fetched[key] = found

    def count(self, collection: str) -> Generator[StoreRequest, None, int]:
        """Return the number of documents of a collection."""
        found = yield from self._asked(Fetch(collection, count=True))
        return len(found) if found.__class__ is list else int(found)

    def prefetch(self, collection: str, keys: list[str]) -> Generator[StoreRequest, None, None]:
        """Fetch many documents together, for later calls of `document`."""
        wanted = [key for key in dict.fromkeys(keys) if (collection, (), (key,)) not in self._fetched]
        for begin in range(0, len(wanted) if len(wanted) > 1 else 0, _FETCH_SIZE):
            part = tuple(wanted[begin : begin + _FETCH_SIZE])
            found = {
                document.get("_key"): document for document in (yield from self._asked(Fetch(collection, (), part)))
            }
            for key in part:
                self._keep((collection, (), (key,)), [found[key]] if key in found else [])

    def prefetch_equal(self, collection: str, name: str, values: list[str]) -> Generator[StoreRequest, None, None]:
        """Fetch together the documents in which an attribute is one of these strings, for later calls of `fetch`."""
        key_of = {value: (collection, (((name,), hash_key(value)),), None) for value in dict.fromkeys(values)}
        wanted = [value for value, key in key_of.items() if key not in self._fetched]
        for begin in range(0, len(wanted) if len(wanted) > 1 else 0, _FETCH_SIZE):
            part = tuple(wanted[begin : begin + _FETCH_SIZE])
            groups: dict[str, list[Document]] = {value: [] for value in part}
            for document in (yield from self._asked(Fetch(collection, among=((name,), part)))):
                value = document.get(name)
                if value.__class__ is str and value in groups:
                    groups[value].append(document)
            for value, documents in groups.items():
                self._keep(key_of[value], documents)

    def document(self, collection: str, key: str) -> Generator[StoreRequest, None, Document | None]:
        """Return one document by key; None if it does not exist."""
        for document in (yield from self.fetch(Fetch(collection, (), (key,)))):
            if document.get("_key") == key:
                return document
        return None

    def forget(self, collection: str) -> None:
        """Drop the cached documents of a collection, because it was written to."""
        for key in [key for key in self._fetched if key[0] == collection]:
            del self._fetched[key]


def _identity(fetch: Fetch) -> Any:
    return fetch.collection, tuple((path, hash_key(value)) for path, value in fetch.equalities), fetch.keys


def size_of(values: list[Any]) -> int:
    """Return the approximate bytes that one of the values takes in memory."""
    sample = values[:: len(values) // _SAMPLED + 1]
    return sum(weight_of(value) for value in sample) // max(1, len(sample))


def weight_of(value: Any) -> int:
    """Return the approximate bytes that a value takes in memory."""
    size = sys.getsizeof(value)
    if value.__class__ is dict:
        return size + sum(weight_of(item) for item in value.values())
    if value.__class__ is list:
        return size + sum(weight_of(item) for item in value)
    return size
