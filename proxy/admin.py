"""The admin listener: metrics, health, status, a live page to look at. It changes nothing.

/metrics   for Prometheus            /healthz  the process lives
/readyz    it may get traffic        /status   what it does, as JSON        /  the same, for eyes
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator, Mapping
from importlib import resources

import uvicorn
from fastapi import FastAPI
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

from proxy import __version__, metrics
from proxy.errors import ConfigurationError


def create(status: Callable[[], Mapping[str, object]], ready: Callable[[], str | None]) -> FastAPI:
    """The application. `ready` gives None, or a sentence that says why not."""
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

    @app.get("/", response_class=HTMLResponse)
    async def page() -> HTMLResponse:
        """A page that shows /status and goes on showing it."""
        return HTMLResponse(resources.files("proxy").joinpath("admin.html").read_text("utf-8"))

    return app


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
        self.port = port

    async def start(self) -> None:
        """Returns once the port listens. Raises ConfigurationError where it cannot."""
        try:
            listening = socket.create_server((self._host, self.port))
        except OSError as error:
            raise ConfigurationError(
                f"the admin listener cannot listen on {self._host}:{self.port} ({error.strerror}): "
                "set CROSSFADE_ADMIN_PORT to a free port"
            ) from error
        self.port = listening.getsockname()[1]
        self._task = asyncio.create_task(self._server.serve(sockets=[listening]), name="admin")
        while not self._server.started and not self._task.done():
            await asyncio.sleep(0.005)

    async def close(self) -> None:
        self._server.should_exit = True
        if self._task is not None:
            await self._task
