"""Operation and Outcome: one typed request of the ArangoDB HTTP API, and its answer. Plain values.

`wire` decodes a request to an Operation; a `Store` executes it and returns an Outcome; `wire` encodes the response.
Change, one new version of one document, is the value that the mirror and the backfill apply.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Protocol

import msgspec

from proxy.base.spool import SpooledAnswer
from proxy.model.endpoint import Effect, Endpoint


class LargeBody(Protocol):
    """A body that is not in memory."""

    @property
    def size(self) -> int: ...

    def read(self, begin: int, end: int) -> bytes:
        """Return the bytes from `begin` up to `end`."""


class Fence(msgspec.Struct, frozen=True, gc=False):
    """The conditions by which PostgreSQL alone carries out a request while ArangoDB has other collections.

    generation: of the control row by which it was decided. collections: that it concerns (`database/name`, or
    `database/*`), whose writes PostgreSQL must still take, or, if it only reads, which ArangoDB must not have yet.
    """

    generation: int
    collections: tuple[str, ...] = ()
    only_reads: bool = False


class Operation(msgspec.Struct, frozen=True, gc=False):
    """One request of the ArangoDB HTTP API.

    endpoint: its row in `wire.endpoints`, with the facts that decisions depend on.
    database, collection, key: as the path gives them, percent-decoded; None if the path has none.
    path: all decoded path segments after `/_db/{db}`, for endpoints with more variables.
    params: query parameters, decoded; the last one wins. headers: those that `wire` keeps, names in lower case.
    body: the request's body as received, JSON (or VelocyPack by `content-type`). large: the body, in place of `body`,
    if it is too large for memory; only of a request that writes documents.
    known: the facts of a query that is too large to be analysed repeatedly (`proxy.routing.query_facts`).
    extent: for a query whose text does not show all that it reads, the names of the collections that it may read,
    without database; empty if the text shows them.
    fence: of a request to promoted collections; None if PostgreSQL has every collection, or none.
    """

    endpoint: Endpoint
    method: str
    database: str = "_system"
    collection: str | None = None
    key: str | None = None
    path: tuple[str, ...] = ()
    params: Mapping[str, str] = msgspec.field(default_factory=dict)
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    body: bytes = b""
    known: object = None
    extent: frozenset[str] = frozenset()
    large: LargeBody | None = None
    fence: Fence | None = None

    @property
    def effect(self) -> Effect:
        """The effect on the data."""
        return self.endpoint.effect

    @property
    def qualified(self) -> str | None:
        """`database/collection`, the name of a collection in the control plane."""
        return None if self.collection is None else f"{self.database}/{self.collection}"


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """The answer of a store: an HTTP status, headers in addition to the usual ones, and a body as bytes.

    stream: the pieces of a large body, in place of `body`, which is empty then; they are read once. If their length is
    known, it is among the headers (`streamed`).
    """

    status: int
    body: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    content_type: bytes = b"application/json"
    stream: AsyncIterator[bytes] | None = None

    def header(self, name: bytes) -> bytes | None:
        """Return the first header of that (lower-case) name."""
        for key, value in self.headers:
            if key.lower() == name:
                return value
        return None


def streamed(status: int, body: SpooledAnswer, headers: tuple[tuple[bytes, bytes], ...] = ()) -> Outcome:
    """Return an outcome whose body comes in pieces."""
    return Outcome(status, b"", (*headers, (b"content-length", b"%d" % body.size)), stream=body)


class Change(msgspec.Struct, frozen=True, gc=False):
    """One version of one document, as the mirror and the backfill apply it (I4).

    collection: `database/name`. rev: the decoded revision; for a removal, that of the *removed* version.
    raw: the whole document as ArangoDB printed it, with `_key`, `_id` and `_rev`; None for a removal.
    """

    collection: str
    key: str
    rev: int
    raw: bytes | None
