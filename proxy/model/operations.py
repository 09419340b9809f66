"""Operation and Outcome: one typed request of the ArangoDB HTTP API, and its answer. Layer 0: plain values.

`wire` makes an Operation of a request; a `Store` executes it and returns an Outcome; `wire` makes a response of that.
The mirror's own values (Change: one new version of one document) stand here too, since every store can tell them.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from proxy.model.endpoint import Effect, Endpoint


class Operation(msgspec.Struct, frozen=True, gc=False):
    """One request of the ArangoDB HTTP API.

    endpoint: its row in `wire.endpoints`, with all that is decided by.
    database, collection, key: as the path gives them, percent-decoded; None where the path has none.
    path: all decoded path segments behind `/_db/{db}`, for endpoints with more variables.
    params: query parameters, decoded; the last one wins. headers: lower-case names, those that `wire` cares about.
    body: the request's body as it came, JSON (or VelocyPack where `content-type` says so).
    known: what was found out about a query that is too large to be looked into again and again
    (`proxy.routing.query_facts`).
    extent: of a query whose text does not tell all that it reads, the names of collections that it may read, without
    database; empty: its text tells.
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

    @property
    def effect(self) -> Effect:
        """What it does to the data."""
        return self.endpoint.effect

    @property
    def qualified(self) -> str | None:
        """`database/collection`, the name by which the control plane knows a collection."""
        return None if self.collection is None else f"{self.database}/{self.collection}"


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What a store answers: an HTTP status, headers beside the usual ones, and a body as bytes."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    content_type: bytes = b"application/json"

    def header(self, name: bytes) -> bytes | None:
        """The first header of that (lower-case) name."""
        for key, value in self.headers:
            if key.lower() == name:
                return value
        return None


class Change(msgspec.Struct, frozen=True, gc=False):
    """One version of one document, as the mirror and the backfill apply it (I4).

    collection: `database/name`. rev: the decoded revision; for a removal, that of the *removed* version.
    raw: the whole document as ArangoDB printed it, `_key`, `_id` and `_rev` included; None says removed.
    """

    collection: str
    key: str
    rev: int
    raw: bytes | None
