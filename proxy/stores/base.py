"""The Store protocol: one operation, many stores (DESIGN section 4)."""

from __future__ import annotations

from typing import Protocol

from proxy.model.operations import Operation, Outcome


class Store(Protocol):
    """Executes one operation and returns its outcome.

    Raise `UpstreamUnavailable` or `UpstreamOutcomeUnknown` if the server of the store did not answer. An error that
    ArangoDB would answer is an Outcome; a store may raise `ArangoError`, and its caller encodes it.
    """

    @property
    def name(self) -> str: ...

    async def execute(self, operation: Operation) -> Outcome: ...
