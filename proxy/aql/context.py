"""One run of one query: what its parts share. Warnings, limits, bind variables, what was fetched."""

from __future__ import annotations

import random
import time
from collections.abc import Generator, Mapping
from typing import Any, TypeAlias

from proxy.aql.requests import Document, Fetch, Options, QueryWarning, Request, Stats
from proxy.aql.values import Value, hash_key
from proxy.errors import ArangoError

Steps: TypeAlias = Generator[Request, None, Value]

MAX_ELEMENTS = 10_000_000  # of one range or array that a function makes (ArangoDB's own limit for ranges)
MAX_TEXT = 1 << 26  # characters of one string that a function makes
_CACHED = 20_000  # documents kept for a second look within one run


class Context:
    """Belongs to one run; never shared. `now` is one moment for the whole query, in milliseconds since 1970."""

    def __init__(self, binds: Mapping[str, Value], options: Options) -> None:
        self.binds = binds
        self.options = options
        self.warnings: list[QueryWarning] = []
        self.stats = Stats()
        self.random = random.Random()  # noqa: S311 - RAND() is no secret
        self.quiet = False  # while a filter is evaluated ahead of its turn
        self.full_count: int | None = None
        self._now: int | None = None
        self._fetched: dict[Any, list[Document]] = {}
        self._cached = 0
        self._held = 0
        self._deadline = time.monotonic() + options.max_runtime if options.max_runtime else None

    @property
    def now(self) -> int:
        """Milliseconds since 1970, the same all through the query."""
        if self._now is None:
            self._now = time.time_ns() // 1_000_000
        return self._now

    def warn(self, code: int, message: str) -> None:
        """Adds a warning. Raises it as an error where the query runs with failOnWarning."""
        if self.quiet:
            return
        if self.options.fail_on_warning:
            raise ArangoError(code, f"AQL: {message} (while executing)", status=400)
        if len(self.warnings) < self.options.max_warnings:
            self.warnings.append(QueryWarning(code, message))

    def invalid(self, function: str) -> None:
        """Warning 1542: an argument of a wrong type; the function's result is null."""
        self.warn(1542, f"invalid argument type in call to function '{function}()'")

    def check_time(self) -> None:
        """Raises 1500 where the query has run for longer than it may."""
        if self._deadline is not None and time.monotonic() > self._deadline:
            raise ArangoError(1500, "AQL: query killed because it exceeded its maxRuntime (while executing)")

    def hold(self, count: int) -> None:
        """Counts elements that are kept. Raises 32 beyond the query's memory limit, 1500 beyond its time."""
        self._held += count
        limit = self.options.memory_limit
        if limit and self._held > limit:
            raise ArangoError(32, "AQL: query would use more memory than allowed (while executing)")
        if self._deadline is not None:
            self.check_time()

    def size(self, count: int, most: int = MAX_ELEMENTS) -> int:
        """Passes the size of something that a function is to make. Raises 32 where it is too large."""
        if count > most:
            raise ArangoError(32, "AQL: resource limit exceeded: value too large (while executing)")
        return count

    def fetch(self, fetch: Fetch) -> Generator[Request, None, list[Document]]:
        """The documents of a fetch: from the store, or from the same fetch made before."""
        key = (fetch.collection, tuple((path, hash_key(value)) for path, value in fetch.equalities), fetch.keys)
        found = self._fetched.get(key)
        if found is None:
            request = Request(fetch)
            yield request
            if request.error is not None:
                raise request.error
            found = request.result
            self.stats.scanned += len(found)
            self.hold(len(found))
            self._cached += len(found) + 1
            if self._cached > _CACHED:
                self._fetched.clear()
                self._cached = len(found) + 1
            self._fetched[key] = found
        return found

    def document(self, collection: str, key: str) -> Generator[Request, None, Document | None]:
        """One document by key."""
        for document in (yield from self.fetch(Fetch(collection, (), (key,)))):
            if document.get("_key") == key:
                return document
        return None

    def forget(self, collection: str) -> None:
        """What was fetched of a collection is out of date: it was written to."""
        for key in [key for key in self._fetched if key[0] == collection]:
            del self._fetched[key]
