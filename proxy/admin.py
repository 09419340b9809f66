"""The admin listener: metrics, health, status and a live page. It changes no document of a client.

/metrics   for Prometheus            /healthz  the process lives
/readyz    it may get traffic        /status   its state, as JSON           /  the same, human-readable
/trace     what it knows of one document, as JSON
/check     its generation and backlog, and whether it reaches both databases now: asked before a change of stages
/clock     its clock: asked before a promotion
/canary    POST: it carries a document of its own in both directions between the databases, before a promotion

Requests whose Host is not a name of this listener, or whose Origin is another site, are refused with 403 (`refused`): a
page on the web must not read a proxy on the loopback interface.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import ipaddress
import re
import socket
import time
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from importlib import resources
from typing import Final
from urllib.parse import urlsplit

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

from proxy import __version__
from proxy.base import metrics
from proxy.base.errors import ConfigurationError


def create(
    status: Callable[[], Mapping[str, object]],
    ready: Callable[[], str | None],
    trace: Callable[[str, str], Mapping[str, object]] | None = None,
    check: Callable[[], Awaitable[Mapping[str, object]]] | None = None,
    hosts: Collection[str] = (),
    canary: Callable[[str], Awaitable[Mapping[str, object]]] | None = None,
) -> FastAPI:
    """Return the application. ready: returns None, or a sentence that states why not.

    trace: (collection, key) -> what this instance knows of one document. check: what `/check` answers. hosts: names
    that clients may use besides IP addresses, `localhost` and the machine's own name. canary: name of a database ->
    what `/canary` answers.
    """
    app = FastAPI(title="Crossfade admin", version=__version__, docs_url=None, redoc_url=None)
    page_text = resources.files("proxy").joinpath("admin.html").read_text("utf-8")
    policy = content_security_policy(page_text)

    @app.middleware("http")
    async def guarded(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        """Refuse foreign names, and set the headers that restrict the page in a browser."""
        refusal = refused(request.headers.get("host", ""), request.headers.get("origin"), own_names(hosts))
        response = await call_next(request) if refusal is None else JSONResponse({"error": refusal}, status_code=403)
        response.headers.update(_SAFE_HEADERS)
        response.headers["content-security-policy"] = policy
        return response

    @app.get("/metrics", response_class=PlainTextResponse)
    async def prometheus() -> Response:
        """Return every metric in the text format of Prometheus."""
        body, content_type = metrics.render()
        return Response(body, headers={"content-type": content_type})

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Return 200 as long as the process answers."""
        return {"status": "ok"}

    @app.get("/readyz", responses={503: {"description": "not ready, and why"}})
    async def readyz() -> JSONResponse:
        """Return 200 if traffic may come, else 503 and the reason."""
        reason = ready()
        if reason is None:
            return JSONResponse({"status": "ready"})
        return JSONResponse({"status": "not ready", "reason": reason}, status_code=503)

    @app.get("/status")
    async def state() -> dict[str, object]:
        """Return the state of this instance: stages, backlog, lag, lease."""
        return dict(status())

    @app.get("/trace")
    async def traced(collection: str, key: str) -> dict[str, object]:
        """Return what this instance knows of one document (`database/name`, key): intents, queue, recent applies."""
        return dict(trace(collection, key)) if trace is not None else {}

    @app.get("/check")
    async def checked() -> dict[str, object]:
        """Return its generation, its backlog, and whether PostgreSQL and ArangoDB answer it now."""
        return dict(await check()) if check is not None else {}

    @app.post("/canary")
    async def canaried(database: str) -> dict[str, object]:
        """Carry a document between PostgreSQL and that database of ArangoDB, in both directions."""
        return dict(await canary(database)) if canary is not None else {}

    @app.get("/clock")
    async def clock() -> dict[str, float]:
        """Return the machine's clock, in seconds since 1970."""
        return {"now": time.time()}

    @app.get("/", response_class=HTMLResponse)
    async def page() -> HTMLResponse:
        """Return a page that shows /status and keeps it current."""
        return HTMLResponse(page_text)

    return app


_SAFE_HEADERS: Final = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


def own_names(configured: Collection[str]) -> frozenset[str]:
    """Return the names, in lower case, that this listener accepts: the machine's own, and the configured ones."""
    host = socket.gethostname()
    return frozenset(name.lower() for name in ("localhost", host, host.partition(".")[0], *configured) if name)


def refused(host: str, origin: str | None, names: Collection[str]) -> str | None:
    """Return why a request with this Host and Origin is refused, or None.

    A page on the web can make its own name resolve to 127.0.0.1 (DNS rebinding): its requests then carry that name in
    `Host`. An IP address cannot be rebound, so any is accepted; so are names under `.svc` and `.cluster.local`,
    which only a cluster's own DNS resolves. A request from another site's page carries that site in `Origin`.
    """
    name = _name_of(host)
    if name is None or not (_is_address(name) or name in names or name.endswith((".svc", ".cluster.local"))):
        return (
            "the admin listener does not accept this name: use its IP address, or set CROSSFADE_ADMIN_NAMES to a JSON "
            "array of the names that clients reach it by"
        )
    if origin is not None and _host_of(origin) != host.lower():
        return "the admin listener does not answer pages of another origin"
    return None


def _host_of(origin: str) -> str | None:
    """Return host and port of an Origin header, in lower case; None if it cannot be read."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


def _name_of(host: str) -> str | None:
    """Return the name in a Host header, in lower case, without port and brackets; None if it cannot be read."""
    found = _HOST.fullmatch(host.strip().lower())
    return found["address"] or found["name"] if found else None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def content_security_policy(page: str) -> str:
    """Return a policy that allows only the inline scripts and styles of `page` (by hash), and requests to this host."""

    def hashes(tag: str) -> str:
        blocks = re.findall(rf"<{tag}>(.*?)</{tag}>", page, flags=re.DOTALL)
        digests = (base64.b64encode(hashlib.sha256(block.encode()).digest()).decode() for block in blocks)
        return " ".join(f"'sha256-{digest}'" for digest in digests)

    return (
        f"default-src 'none'; script-src {hashes('script')}; style-src {hashes('style')}; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


_HOST: Final = re.compile(r"(?:\[(?P<address>[0-9a-f:.%]+)\]|(?P<name>[a-z0-9._-]+))(?::\d+)?")
_EVERYWHERE = frozenset({"", "0.0.0.0", "::"})  # noqa: S104


class _Server(uvicorn.Server):
    """A server without signal handlers, which belong to the application."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class AdminServer:
    """The admin listener on its own port, in the proxy's event loop."""

    def __init__(self, app: FastAPI, host: str, port: int, *, advertise: str = "") -> None:
        self._host = host
        self._advertise = advertise
        self._server = _Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off"))
        self._task: asyncio.Task[None] | None = None
        self._socket: socket.socket | None = None
        self.port = port

    @property
    def url(self) -> str:
        """The URL at which other machines reach it, once `bind` was called.

        As advertised; else its address, or the machine's name if it listens on all addresses.
        """
        host = self._advertise or (socket.gethostname() if self._host in _EVERYWHERE else self._host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    def bind(self) -> None:
        """Bind the port, without answering yet. Raise ConfigurationError if it cannot."""
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        bound = socket.socket(family, socket.SOCK_STREAM)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind((self._host, self.port))
            bound.setblocking(False)  # noqa: FBT003 - the standard library's interface
        except OSError as error:
            bound.close()
            raise ConfigurationError(
                f"the admin listener cannot listen on {self._host}:{self.port} ({error.strerror}): "
                "set CROSSFADE_ADMIN_PORT to a free port"
            ) from error
        self._socket = bound
        self.port = bound.getsockname()[1]

    async def start(self) -> None:
        """Return once the port listens. Raise ConfigurationError if it cannot."""
        if self._socket is None:
            self.bind()
        assert self._socket is not None
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]), name="admin")
        while not self._server.started and not self._task.done():
            await asyncio.sleep(0.005)

    async def close(self) -> None:
        self._server.should_exit = True
        if self._task is not None:
            await self._task
        elif self._socket is not None:
            self._socket.close()
