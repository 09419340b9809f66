"""Rows of a compiled statement -> rows of the result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from proxy.aql.context import Context
from proxy.aql.requests import Options
from proxy.aql.values import Value


@dataclass(frozen=True, slots=True)
class Finish:
    """How a row of the statement becomes a row of the result: `Finish.start` for one run, then `run.value(row)`."""

    def start(self, binds: Mapping[str, Any], options: Options | None = None) -> Run:
        """One run of the query."""
        return Run(Context(binds, options or Options()))


@dataclass(slots=True)
class Run:
    """One run: `value` and `encoded` of each row (a sequence of the statement's columns). Warnings: `context`."""

    context: Context

    def value(self, row: Sequence[Any]) -> Value:
        """The row of the result."""
        return row[0]

    def encoded(self, row: Sequence[Any]) -> bytes:
        """The same as JSON, as ArangoDB prints it."""
        raise NotImplementedError
