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

from proxy import metrics
from proxy.errors import UpstreamError
from proxy.http import Upstream
from proxy.wire.message import Request, Response

# segments that look like ids are folded, so that routes stay few: numbers, UUIDs, long hex or base64 texts
_ID = re.compile(rb"^(?:\d+|[0-9a-fA-F-]{32,36}|[A-Za-z0-9_-]{20,})$")
_MOST_ROUTES = 500
_MOST_TRACES = 20_000
_TRACE = re.compile(rb"^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
UNKNOWN = "unknown"  # the route of a database request that no API request is known to have caused
_NOTHING_THERE = frozenset({400, 401, 403, 404, 405})


def route_of(method: str, target: bytes) -> str:
    """The label of a request's route: its method and path with ids folded to `{id}`."""
    path = target.partition(b"?")[0]
    parts = [b"{id}" if _ID.match(part) else part for part in path.split(b"/")[:8]]
    return f"{method} {b'/'.join(parts).decode('ascii', 'replace')}"


class Services:
    """Forwards to the service whose prefix matches; 404 in plain JSON where none does."""

    def __init__(self, upstreams: Mapping[str, Upstream]) -> None:
        self._by_prefix = sorted(
            ((prefix.rstrip("/").encode(), upstream) for prefix, upstream in upstreams.items()),
            key=lambda item: -len(item[0]),
        )
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
            self._note(trace, route_of(request.method, request.target))
            try:
                response = await upstream.request(request)
            except UpstreamError as error:
                metrics.UPSTREAM_ERRORS.labels("service", type(error).__name__).inc()
                response = _plain(503, b"the service does not answer")
        route = self._label(route_of(request.method, request.target), response.status)
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
