"""Service paths: a reverse proxy in front of the document services, measured by route (DESIGN section 2).

Any path that does not begin with `/_` belongs to the service with the longest matching prefix. Bodies stream, upgrades
pass through, `traceparent` is added where the client sent none (W3C Trace Context, section 3.2).
"""

from __future__ import annotations

import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

from proxy import metrics
from proxy.errors import UpstreamError
from proxy.http import Upstream
from proxy.wire.message import Request, Response

# a segment that may be a word of an API, or its version; numbers, keys with a digit, addresses and the like are ids
_WORD = re.compile(rb"[A-Za-z][A-Za-z_.-]{0,31}|v\d{1,3}")
_WORDS = 16  # different words at one place of a path, beyond which they are names of things, not words of the API
_FIRST_WORDS = 64  # the same at the beginning of a path, where every API has its own
_DEPTH = 8
_MOST_PLACES = 5000
_MOST_ROUTES = 500
_MOST_TRACES = 20_000
_TRACE = re.compile(rb"^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
UNKNOWN = "unknown"  # the route of a database request that no API request is known to have caused
_NOTHING_THERE = frozenset({400, 401, 403, 404, 405})


@dataclass(slots=True)
class _Place:
    """One place in the paths that were found: the words that stood there, until they are too many."""

    words: dict[bytes, _Place] = field(default_factory=dict)
    folded: bool = False
    below: _Place | None = None  # what comes after an id


class Routes:
    """Makes few routes of many paths: ids are `{id}`, and so are words where there are too many to be an API's.

    Values never become labels but for as many words as an API may have: nobody can tell a short name from one.
    """

    def __init__(self) -> None:
        self._root = _Place()
        self._places = 1

    def of(self, method: str, target: bytes, *, found: bool = False) -> str:
        """The route of a request. found: something was there, so that its words count."""
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
                place = place.words.get(part) if word else self._below(place, found)
        return f"{method} /{'/'.join(parts)}"

    def _below(self, place: _Place, found: bool) -> _Place | None:
        if place.below is None and found:
            place.below = self._new()
        return place.below

    def _new(self) -> _Place:
        self._places += 1
        return _Place()


class Services:
    """Forwards to the service whose prefix matches; 404 in plain JSON where none does."""

    def __init__(self, upstreams: Mapping[str, Upstream]) -> None:
        self._by_prefix = sorted(
            ((prefix.rstrip("/").encode(), upstream) for prefix, upstream in upstreams.items()),
            key=lambda item: -len(item[0]),
        )
        self._folding = Routes()
        self._routes: set[str] = set()
        self._traces: OrderedDict[bytes, str] = OrderedDict()  # trace id -> route, the latest last

    def upstream_of(self, target: bytes) -> Upstream | None:
        """The service of a path: the longest prefix that ends at a segment's end."""
        path = target.partition(b"?")[0]
        for prefix, upstream in self._by_prefix:
            if path == prefix or path.startswith(prefix + b"/") or prefix == b"":
                return upstream
        return None

    async def handle(self, request: Request) -> Response:
        """Answers one request on a service path."""
        started = time.perf_counter()
        upstream = self.upstream_of(request.target)
        if upstream is None:
            response = _plain(404, b"no service is configured for this path: set CROSSFADE_SERVICES")
        else:
            trace = request.header(b"traceparent")
            if trace is None:
                trace = f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00".encode()
                request.headers.append((b"traceparent", trace))
            self._note(trace, self._folding.of(request.method, request.target))
            try:
                response = await upstream.request(request)
            except UpstreamError as error:
                metrics.UPSTREAM_ERRORS.labels("service", type(error).__name__).inc()
                response = _plain(503, b"the service does not answer")
        found = response.status not in _NOTHING_THERE
        route = self._label(self._folding.of(request.method, request.target, found=found), response.status)
        metrics.SERVICE_REQUESTS.labels(route, str(response.status)).inc()
        metrics.SERVICE_SECONDS.labels(route).observe(time.perf_counter() - started)
        return response

    def route_of_trace(self, trace: bytes | None) -> str:
        """The API route of the request that a database request belongs to, by its `traceparent`: where a service hands
        that on to its driver, a mismatch names the route that met it. `unknown` for all others.
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
        """The route, or `other`: beyond the limit, and as long as nothing was ever found there (probes, mistypings)."""
        if route not in self._routes:
            if status in _NOTHING_THERE or len(self._routes) >= _MOST_ROUTES:
                return "other"
            self._routes.add(route)
        return route


def _plain(status: int, message: bytes) -> Response:
    body = b'{"error":true,"code":%d,"errorNum":%d,"errorMessage":"%s"}' % (status, status, message)
    return Response(status, [(b"content-type", b"application/json")], body)
