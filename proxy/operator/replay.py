"""Choose recorded reads to send again, for query shapes that lack comparisons. Pure.

A replayed read goes through a proxy as a client's does: it is sampled, compared and counted there. Only reads are ever
recorded, and a query is looked at once more before it is sent: nothing that may write is replayed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import orjson

from proxy.aql import analyse, parse
from proxy.base.errors import ArangoError


@dataclass(frozen=True, slots=True)
class Example:
    """One recorded read of a shape."""

    request: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Sent:
    """A request to send. target: path and query; body: JSON, or empty."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class WantedShape:
    """A shape that lacks comparisons: how many, and requests that supply them (none: no example is kept)."""

    shape: str
    text: str
    collections: tuple[str, ...]
    missing: int
    requests: tuple[Sent, ...]


def sendable(example: Example) -> Sent | None:
    """Return the request of an example; None if it could write, or cannot be parsed."""
    request = example.request
    method, target = str(request.get("method", "")), str(request.get("target", ""))
    headers = {str(name): str(value) for name, value in (request.get("headers") or {}).items()}
    if not target.startswith("/_db/"):
        return None
    if "query" in request:
        body = {name: request[name] for name in ("query", "bindVars") if name in request} | dict(
            request.get("options") or {}
        )
        return Sent(method, target, headers, orjson.dumps(body)) if _only_reads(body) else None
    if method in ("GET", "HEAD") or (method == "PUT" and _reads_by_put(target)):
        return Sent(method, target, headers, str(request.get("body", "")).encode())
    return None


def _only_reads(body: Mapping[str, Any]) -> bool:
    try:
        return not analyse(parse(str(body.get("query", ""))), body.get("bindVars") or {}).modifies
    except ArangoError:
        return False


def _reads_by_put(target: str) -> bool:
    """Return True if a PUT to this path is a read: several documents, or a simple query that is compared."""
    path, _, query = target.partition("?")
    parts = path.split("/")[3:]
    if parts[:2] == ["_api", "document"]:
        return "onlyget=true" in query.lower().split("&")
    return parts[:2] == ["_api", "simple"] and parts[2:3] in (
        [name] for name in ("all", "all-keys", "any", "by-example", "first-example", "lookup-by-keys", "range")
    )


def round_robin(wanted: Sequence[WantedShape]) -> Iterator[tuple[WantedShape, Sent]]:
    """Yield requests forever, cycling through the shapes and through the examples of each. Empty if there are none."""
    sources = [(one, cycle(one.requests)) for one in wanted if one.requests]
    while sources:
        for one, requests in sources:
            yield one, next(requests)


def examples_of(rows: Iterable[tuple[str, str]]) -> dict[str, list[Example]]:
    """Return examples by shape, from rows of shape and request (JSON text)."""
    found: dict[str, list[Example]] = {}
    for shape, request in rows:
        found.setdefault(shape, []).append(Example(orjson.loads(request)))
    return found
