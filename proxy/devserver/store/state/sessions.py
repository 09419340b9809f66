"""State that outlives a request: cursors, asynchronous jobs, replication batches and dumps."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from proxy.base.errors import ArangoError
from proxy.model.json_values import dump
from proxy.model.operations import Outcome
from proxy.wire.encode import error_outcome

Document = dict[str, Any]


@dataclass(slots=True)
class Cursor:
    """A query's result that its client fetches in batches.

    size: rows a batch; batch: the number of the one that was sent last, from 1; last: its text, for a retry;
    expires: seconds since the epoch.
    """

    id: str
    database: str
    rows: Sequence[Any]
    size: int
    ttl: float
    expires: float
    extra: Document | None
    counted: bool
    retry: bool
    user: str
    streaming: bool = False
    position: int = 0
    batch: int = 0
    last: bytes = b""

    @property
    def more(self) -> bool:
        return self.position < len(self.rows)

    def take(self) -> bytes:
        """Return the next batch as the answer's text, up to `error` and `code`."""
        part = self.rows[self.position : self.position + self.size]
        self.position += len(part)
        self.batch += 1
        return b'{"result":' + dump(part)

    def closing(self) -> bytes:
        """Return `extra`. A stream has it in its last batch only, since it is not known earlier."""
        return b"" if self.streaming and self.more else b',"extra":' + dump(self.extra)


@dataclass(frozen=True, slots=True)
class AsyncJob:
    """An asynchronous request. stamp: when it came, in seconds since the epoch. bare: its answer has no body."""

    user: str
    stamp: float
    task: asyncio.Task[Outcome]
    bare: bool = False

    @property
    def outcome(self) -> Outcome:
        """The answer of a job that has ended."""
        if self.task.cancelled():
            return error_outcome(ArangoError(21))
        found = self.task.result()
        return Outcome(found.status, b"", found.headers, found.content_type) if self.bare else found


@dataclass(slots=True)
class ReplicationBatch:
    """A replication batch: documents as they were at one moment, by collection. Bytes are shared with the server."""

    id: str
    database: str
    tick: int
    documents: dict[str, list[bytes]] = field(default_factory=dict)


@dataclass(slots=True)
class Dump:
    """One `/_api/dump`: parts of (collection, JSON lines). The part that was sent last can be asked for again."""

    id: str
    database: str
    parts: Iterator[tuple[str, bytes]]
    sent: int = 0
    last: tuple[str, bytes] | None = None
