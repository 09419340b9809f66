"""Service paths: a reverse proxy in front of the document services, measured by route (DESIGN section 2).

Any path that does not begin with `/_` belongs to the service with the longest matching prefix. The prefix stays in the
path; a path in the service's URL is put before it: `{"/api": "http://host/v1"}` sends `/api/x` to `/v1/api/x`.

Bodies stream in both directions, and the head of an answer before its body: event streams, token streams, long polls.
The proxy limits only the time to connect, not that of an answer. A client that leaves ends its request at the service
as well. Upgrades pass through. `traceparent` is added if the client sent none (W3C Trace Context, section 3.2), and the
client's address by the setting `Forwarding`.

If a service cannot be reached, the client gets 503; if it closes before its answer began, 502; if it breaks off within
an answer, the client's connection is cut, so that no client takes a part for the whole. A request is sent a second time
only if nothing of it was sent, or if its method is idempotent (RFC 9110, section 9.2.2) and the connection was closed
while idle.
"""

from __future__ import annotations

import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from proxy.base import metrics
from proxy.base.errors import UpstreamError, UpstreamOutcomeUnknown
from proxy.http import Upstream
from proxy.model.message import Headers, Request, Response, Streaming, header

# a segment that may be a word of an API, or its version; numbers, keys with a digit, addresses and the like are ids
_WORD = re.compile(rb"[A-Za-z][A-Za-z_.-]{0,31}|v\d{1,3}")
_WORDS = 16  # different words at one place of a path; more are names of things, not words of the API
_FIRST_WORDS = 64  # the same at the beginning of a path, which every API has for itself
_DEPTH = 8
_MOST_PLACES = 5000
_MOST_ROUTES = 500
_MOST_TRACES = 20_000
_TRACE = re.compile(rb"^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
UNKNOWN = "unknown"  # the route of a database request that no API request is known to have caused
_NOTHING_THERE = frozenset({400, 401, 403, 404, 405})
_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
_CLIENT_LEFT = 499  # as nginx counts it; no client gets this status

# append: the client's address after those of the request; replace: it alone, for a proxy at the edge; off
Forwarding = Literal["append", "replace", "off"]
_FORWARDED = (b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"forwarded")


def forwarded(headers: Headers, peer: str, scheme: bytes, forwarding: Forwarding) -> Headers:
    """Return the headers with `X-Forwarded-For`, `-Proto` and `-Host`. peer: the client's address; may be empty.

    append keeps what a proxy in front has set: a list of addresses grows, its scheme and host stay. replace ignores
    those of the request, `Forwarded` (RFC 7239) included.
    """
    if forwarding == "off":
        return headers
    # WSGI and CGI show `X_Forwarded_For` under the same name as `X-Forwarded-For`: a client could set it that way
    kept = [pair for pair in headers if pair[0].lower().replace(b"_", b"-") not in _FORWARDED]
    before: dict[bytes, bytes] = {}
    if forwarding == "append":
        for name in _FORWARDED:
            values = [value for key, value in headers if key.lower() == name]
            if values:
                before[name] = b", ".join(values)
    addresses = [value for value in (before.get(b"x-forwarded-for"), peer.encode()) if value]
    made = {
        b"x-forwarded-for": b", ".join(addresses),
        b"x-forwarded-proto": before.get(b"x-forwarded-proto", scheme),
        b"x-forwarded-host": before.get(b"x-forwarded-host", header(headers, b"host") or b""),
        b"forwarded": before.get(b"forwarded", b""),
    }
    return kept + [pair for pair in made.items() if pair[1]]


@dataclass(slots=True)
class _Place:
    """One place in the paths that were found: the words seen there, until they are too many."""

    words: dict[bytes, _Place] = field(default_factory=dict)
    folded: bool = False
    below: _Place | None = None  # what comes after an id


class Routes:
    """Few routes out of many paths: ids become `{id}`, and so do words if there are too many to be an API's.

    A value becomes a label only while there are no more words than an API may have: a short name looks like a word.
    """

    def __init__(self) -> None:
        self._root = _Place()
        self._places = 1

    def of(self, method: str, target: bytes, *, found: bool = False) -> str:
        """Return the route of a request. found: the service answered with something, so that its words count."""
        place: _Place | None = self._root
        parts = []
        for depth, part in enumerate(target.partition(b"?")[0].lstrip(b"/").split(b"/")[:_DEPTH]):
            word = _WORD.fullmatch(part) is not None and not (place is not None and place.folded)
            if word and place is not None and part not in place.words and found and self._places < _MOST_PLACES:
                if len(place.words) >= (_WORDS if depth else _FIRST_WORDS):
                    place.folded, word = True, False
                    place.words.clear()
                else:
                    place.words[part] = self._new()
            parts.append(part.decode() if word or not part else "{id}")
            if place is not None:
                place = place.words.get(part) if word else self._below(place, found=found)
        return f"{method} /{'/'.join(parts)}"

    def _below(self, place: _Place, *, found: bool) -> _Place | None:
        if place.below is None and found:
            place.below = self._new()
        return place.below

    def _new(self) -> _Place:
        self._places += 1
        return _Place()


class Services:
    """Forwards to the service whose prefix matches; 404 in plain JSON if none does."""

    def __init__(
        self, upstreams: Mapping[str, Upstream], *, forwarding: Forwarding = "append", scheme: bytes = b"http"
    ) -> None:
        self._forwarding: Forwarding = forwarding
        self._scheme = scheme
        self._by_prefix = sorted(
            ((prefix.rstrip("/").encode(), upstream) for prefix, upstream in upstreams.items()),
            key=lambda item: -len(item[0]),
        )
        self._folding = Routes()
        self._routes: set[str] = set()
        self._traces: OrderedDict[bytes, str] = OrderedDict()  # trace id -> route, the latest last

    def upstream_of(self, target: bytes) -> Upstream | None:
        """Return the service of a path: the longest prefix that ends at a segment's end."""
        path = target.partition(b"?")[0]
        for prefix, upstream in self._by_prefix:
            if path == prefix or path.startswith(prefix + b"/") or prefix == b"":
                return upstream
        return None

    async def handle(self, request: Request) -> Response:
        """Answer one request on a service path."""
        started = time.perf_counter()
        upstream = self.upstream_of(request.target)
        status = _CLIENT_LEFT
        try:
            if upstream is None:
                response = _plain(404, b"no service is configured for this path: set CROSSFADE_SERVICES")
            else:
                response = await self._relayed(request, upstream)
            status = response.status
            return response
        finally:
            found = status not in _NOTHING_THERE
            route = self._label(self._folding.of(request.method, request.target, found=found), status)
            metrics.SERVICE_REQUESTS.labels(route, str(status)).inc()
            metrics.SERVICE_DURATION.labels(route).observe(time.perf_counter() - started)

    async def _relayed(self, request: Request, upstream: Upstream) -> Response:
        request.relayed = True
        request.streaming = Streaming.ALL
        trace = request.header(b"traceparent")
        if trace is None:
            trace = f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00".encode()
            request.headers.append((b"traceparent", trace))
        self._note(trace, self._folding.of(request.method, request.target))
        request.headers = forwarded(request.headers, request.peer, self._scheme, self._forwarding)
        try:
            return await upstream.request(request, idempotent=request.method in _IDEMPOTENT)
        except UpstreamError as error:
            metrics.UPSTREAM_ERRORS.labels("service", type(error).__name__).inc()
            if isinstance(error, UpstreamOutcomeUnknown):
                return _plain(502, b"the service closed the connection before its answer")
            return _plain(503, b"the service does not answer")

    def route_of_trace(self, trace: bytes | None) -> str:
        """Return the API route of the request that a database request belongs to, by its `traceparent`.

        If a service passes that to its driver, a mismatch names the route that met it. `unknown` for all others.
        """
        found = _TRACE.match(trace) if trace is not None and self._traces else None
        return self._traces.get(found[1], UNKNOWN) if found is not None else UNKNOWN

    def _note(self, trace: bytes, route: str) -> None:
        found = _TRACE.match(trace)
        if found is None:
            return
        self._traces[found[1]] = route
        self._traces.move_to_end(found[1])
        if len(self._traces) > _MOST_TRACES:
            self._traces.popitem(last=False)

    def _label(self, route: str, status: int) -> str:
        """Return the route, or `other`: beyond the limit, and until something was found there (probes, typos)."""
        if route not in self._routes:
            if status in _NOTHING_THERE or len(self._routes) >= _MOST_ROUTES:
                return "other"
            self._routes.add(route)
        return route


def _plain(status: int, message: bytes) -> Response:
    body = b'{"error":true,"code":%d,"errorNum":%d,"errorMessage":"%s"}' % (status, status, message)
    return Response(status, [(b"content-type", b"application/json")], body)
