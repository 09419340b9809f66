"""The store of the evaluator's tests, to a query that may not hold many rows in memory: pages of two documents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from proxy.aql import Fetch, Result
from proxy.aql.requests import DocumentPage, Expect, NextPage, Pause
from proxy.base.spool import SpoolSpace
from tests.unit.aql.store import Document, Store

PAGE = 2


class PagedStore(Store):
    """Answers with pages. expected: the notices, in order; pages: how many were asked for."""

    def __init__(self, **collections: list[Document]) -> None:
        super().__init__(**collections)
        self.expected: list[Expect] = []
        self.pages = 0

    def query(self, text: str, binds: Mapping[str, Any] | None = None, **options: Any) -> Result:
        """Run a query to its end, with rows on disk."""
        return super().query(text, binds, **options, spools=SpoolSpace())

    def rows(self, text: str, binds: Mapping[str, Any] | None = None) -> list[Any]:
        return rows_of(self.query(text, binds))

    def _answer(self, action: Any) -> Any:
        if isinstance(action, Expect):
            self.expected.append(action)
            return None
        if isinstance(action, Pause):
            return None
        if isinstance(action, NextPage):
            return self._page(action.token)
        found = super()._answer(action)
        return self._page(found) if isinstance(action, Fetch) and action.paged else found

    def _page(self, rest: Any) -> list[Document] | DocumentPage:
        self.pages += 1
        return rest if len(rest) <= PAGE else DocumentPage(rest[:PAGE], rest[PAGE:])


def rows_of(result: Result) -> list[Any]:
    """Return the rows of a result that is on disk."""
    assert result.spooled is not None
    found: list[Any] = orjson.loads(b"[" + result.spooled.text(0, len(result.spooled)) + b"]")
    return found
