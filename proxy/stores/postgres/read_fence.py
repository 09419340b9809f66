"""The fence around a query on PostgreSQL, and the limits of what one may fetch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sql
from proxy.base.errors import Unsupported
from sql.statement import Single, Statement


def fenced(query: str, parameters: int) -> Statement[tuple[Any, ...]]:
    """Return a query under the fence: its columns follow `holds`; the first of them must be true in every row.

    parameters: the number of the query's parameters; the generation follows them.
    """
    # the query is filled in last, so that nothing in it is taken for another blank
    return sql.store.FENCED.fill(generation=f"${parameters + 1}", query=query)


def fenced_count(query: str, parameters: int) -> Single[sql.store.HeldNumberRow]:
    """Return the count of a query's rows under the fence. parameters: as for `fenced`."""
    return sql.store.FENCED_COUNT.fill(generation=f"${parameters + 1}", query=query)


class ReadFenceError(Exception):
    """A statement's fence did not hold: PostgreSQL may not answer."""


class BeyondExtentError(Unsupported):
    """A query reads a collection that is neither named in its text nor in its extent."""

    def __init__(self, collection: str) -> None:
        super().__init__("reads a collection that is not in the shadow")
        self.collection = collection

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.collection,)


@dataclass(frozen=True, slots=True)
class QueryLimits:
    """Limits of what one query may fetch. Beyond them: Unsupported; ArangoDB answers, or nothing is compared.

    no_user_functions: there are none, so that the call of one is an error (`QueryOptions`).
    """

    rows: int = 20_000
    bytes: int = 48 << 20
    no_user_functions: bool = False
