"""A shell for `crossfade` against a real PostgreSQL, with instances and an origin."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import structlog
from typer.testing import CliRunner

import proxy.cli
from tests.ad_hoc import Database
from tests.integration.control_fixtures import Fleet

ORDERS = "shop/orders"


@dataclass
class Origin:
    """A server that answers the requests that commands send to ArangoDB. documents: by key, for every collection."""

    url: str = ""
    refuse: bool = False
    documents: dict[str, dict[str, Any]] = field(default_factory=dict)
    version: str = "3.12.4"

    any_answer: Any = None  # the answer to every request, if set

    def answer(self, path: str, body: bytes) -> tuple[int, Any]:
        if self.any_answer is not None:
            return 200, self.any_answer
        if self.refuse:
            return 401, {"error": True, "code": 401, "errorNum": 11, "errorMessage": "not authorized"}
        if path == "/_api/version":
            return 200, {"server": "arango", "version": self.version}
        if path == "/_api/database/user":
            return 200, {"result": ["_system", "shop"]}
        if path == "/_db/shop/_api/collection":
            names = [("orders", 2, False), ("knows", 3, False), ("_users", 2, True)]
            return 200, {"result": [{"name": n, "type": t, "isSystem": s} for n, t, s in names]}
        if path.startswith("/_db/shop/_api/document/"):
            absent = {"error": True, "errorNum": 1202, "errorMessage": "document not found"}
            return 200, [self.documents.get(key, absent) for key in json.loads(body)]
        return 404, {"error": True, "code": 404, "errorNum": 1228, "errorMessage": "database not found"}


@pytest.fixture
def origin() -> Iterator[Origin]:
    scripted = Origin()

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            length = int(self.headers.get("content-length", 0))
            status, value = scripted.answer(self.path.partition("?")[0], self.rfile.read(length))
            text = value if isinstance(value, bytes) else json.dumps(value).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_PUT = _serve

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    scripted.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield scripted
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def quiet_instances() -> Iterator[None]:
    """Keep the logs of this process's instances out of the commands' output."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    yield
    structlog.reset_defaults()


@dataclass
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class Shell:
    """Runs `crossfade …` in a thread, next to the instances on the test's own loop."""

    environment: dict[str, str]

    async def __call__(self, *arguments: str) -> Result:
        app, broken = proxy.cli.build()
        assert all("proxy" not in sentence.split("(")[0] for sentence in broken)
        done = await asyncio.to_thread(CliRunner().invoke, app, arguments, env=self.environment)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Result(done.exit_code, done.stdout, done.stderr)


@pytest.fixture
async def fleet(database: Database, tmp_path: Path) -> AsyncIterator[Fleet]:
    instances = Fleet(database, tmp_path)
    yield instances
    await instances.close()


@pytest.fixture
def shell(dsn: str, origin: Origin, tmp_path: Path) -> Shell:
    return Shell(
        {
            "CROSSFADE_DSN": dsn,
            "CROSSFADE_ORIGIN": origin.url,
            "CROSSFADE_STATE_DIR": str(tmp_path / "state"),
            "CROSSFADE_DATABASE": "shop",
            "COLUMNS": "220",
        }
    )
