"""The admin listener: metrics, health, status, a live page to look at. It changes nothing.

/metrics   for Prometheus            /healthz  the process lives
/readyz    it may get traffic        /status   what it does, as JSON        /  the same, for eyes
/trace     what it knows of one document, as JSON
/check     the same of itself, and whether it reaches both databases at this moment: asked before a change of stages
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from importlib import resources

import uvicorn
from fastapi import FastAPI
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

from proxy import __version__, metrics
from proxy.errors import ConfigurationError


def create(
    status: Callable[[], Mapping[str, object]],
    ready: Callable[[], str | None],
    trace: Callable[[str, str], Mapping[str, object]] | None = None,
    check: Callable[[], Awaitable[Mapping[str, object]]] | None = None,
) -> FastAPI:
    """The application. `ready` gives None, or a sentence that says why not.

    trace: (collection, key) -> what this instance knows of one document. check: what `/check` answers.
    """
    app = FastAPI(title="Crossfade admin", version=__version__, docs_url=None, redoc_url=None)

    @app.get("/metrics", response_class=PlainTextResponse)
    async def prometheus() -> Response:
        """Every metric in the text format of Prometheus."""
        body, content_type = metrics.render()
        return Response(body, headers={"content-type": content_type})

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """200 as long as the process answers."""
        return {"status": "ok"}

    @app.get("/readyz", responses={503: {"description": "not ready, and why"}})
    async def readyz() -> JSONResponse:
        """200 where traffic may come, else 503 and the reason."""
        reason = ready()
        if reason is None:
            return JSONResponse({"status": "ready"})
        return JSONResponse({"status": "not ready", "reason": reason}, status_code=503)

    @app.get("/status")
    async def state() -> dict[str, object]:
        """What this instance does now: stages, backlog, lag, lease."""
        return dict(status())

    @app.get("/trace")
    async def traced(collection: str, key: str) -> dict[str, object]:
        """What this instance knows of one document (`database/name`, key): intents, queue, what it applied lately."""
        return dict(trace(collection, key)) if trace is not None else {}

    @app.get("/check")
    async def checked() -> dict[str, object]:
        """What it behaves by, its backlog, and what it found when it asked PostgreSQL and ArangoDB just now."""
        return dict(await check()) if check is not None else {}

    @app.get("/", response_class=HTMLResponse)
    async def page() -> HTMLResponse:
        """A page that shows /status and goes on showing it."""
        return HTMLResponse(resources.files("proxy").joinpath("admin.html").read_text("utf-8"))

    return app


_EVERYWHERE = frozenset({"", "0.0.0.0", "::"})  # noqa: S104


class _Server(uvicorn.Server):
    """Signals belong to the application, not to this listener."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class AdminServer:
    """The admin listener on a port of its own, within the proxy's event loop."""

    def __init__(self, app: FastAPI, host: str, port: int) -> None:
        self._host = host
        self._server = _Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off"))
        self._task: asyncio.Task[None] | None = None
        self._socket: socket.socket | None = None
        self.port = port

    @property
    def url(self) -> str:
        """Where it can be asked, once `bind` was called; by the machine's name where it listens everywhere."""
        host = socket.gethostname() if self._host in _EVERYWHERE else self._host
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    def bind(self) -> None:
        """Takes the port; nobody is answered yet. Raises ConfigurationError where it cannot."""
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        bound = socket.socket(family, socket.SOCK_STREAM)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind((self._host, self.port))
            bound.setblocking(False)
        except OSError as error:
            bound.close()
            raise ConfigurationError(
                f"the admin listener cannot listen on {self._host}:{self.port} ({error.strerror}): "
                "set CROSSFADE_ADMIN_PORT to a free port"
            ) from error
        self._socket = bound
        self.port = bound.getsockname()[1]

    async def start(self) -> None:
        """Returns once the port listens. Raises ConfigurationError where it cannot."""
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
