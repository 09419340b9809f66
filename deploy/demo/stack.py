"""The local stack: PostgreSQL, a development ArangoDB, the proxy. Each is a process under a supervisor.

    StackOptions -> Stack.start(): PostgreSQL -> ArangoDB -> migrations -> proxy -> default stage; stop() in reverse

At stage `complete`, no ArangoDB is started.

`ARANGO_URL` and `POSTGRES_DSN` replace either by a real server. Readiness is a condition (an answer on the port), never
a pause. Output goes to files in the stack's folder.
"""

from __future__ import annotations

import http.client
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, Self
from urllib.parse import urlsplit

from deploy.demo.child import Child
from deploy.demo.postgres import EmbeddedPostgres, port_taken
from proxy.base.errors import ConfigurationError
from proxy.base.free_port import free_port

Part = Literal["arangodb", "postgres"]
# a proxy without ArangoDB, which like the development ArangoDB lets every request do everything
_COMPLETE: Final = {"CROSSFADE_MODE": "complete"}


@dataclass(frozen=True, slots=True)
class StackOptions:
    """Ports (0: a free one), the folder (None: a temporary one that is removed with the stack), and what to start.

    stage: of new collections; `flipped` applies no gates, since a local stack starts empty; `complete` has no ArangoDB.
    only: one of the servers, without the proxy. settings: `CROSSFADE_*` environment for the proxy and the commands.
    postgres: settings of the embedded server.
    """

    arango_port: int = 8529
    port: int = 8530
    admin_port: int = 8531
    pg_port: int = 54320
    folder: Path | None = None
    stage: str = "off"
    only: Part | None = None
    arango_url: str | None = None
    dsn: str | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    postgres: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def free(cls, **rest: object) -> StackOptions:
        """Return options with free ports everywhere, as tests and the demo need."""
        return cls(arango_port=0, port=0, admin_port=0, pg_port=0, **rest)  # type: ignore[arg-type]


class Stack:
    """The running servers. A context manager; or start() and stop(). Raises ConfigurationError if one cannot run."""

    def __init__(self, options: StackOptions) -> None:
        self.options = options
        self._temporary = options.folder is None
        self.folder = (options.folder or Path(tempfile.mkdtemp(prefix="crossfade-"))).resolve()
        if self._temporary:
            self.folder.chmod(0o755)  # PostgreSQL's user must pass through it if this process is root's
        self.postgres: EmbeddedPostgres | None = None
        self.arangodb: Child | None = None
        self.proxy: Child | None = None
        self.watch: Child | None = None
        self.dsn = options.dsn or os.environ.get("POSTGRES_DSN", "")
        self.arango_url = ""
        if not self.complete:
            self.arango_url = (options.arango_url or os.environ.get("ARANGO_URL", "")).rstrip("/")
        self.port = options.port or free_port()
        self.admin_port = options.admin_port or free_port()

    @property
    def url(self) -> str:
        """The URL of the proxy for clients."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def admin_url(self) -> str:
        return f"http://127.0.0.1:{self.admin_port}"

    def start(self) -> Self:
        """Start what the options ask for, and wait until it answers; on failure stop what was started."""
        for only, given, name in (
            ("postgres", self.dsn, "POSTGRES_DSN"),
            ("arangodb", self.arango_url, "ARANGO_URL"),
        ):
            if self.options.only == only and given:
                self.stop()
                raise ConfigurationError(f"{name} names a server: unset it to start one here")
        try:
            if self.options.only != "arangodb":
                self.start_postgres()
            if self.options.only != "postgres" and not self.complete:
                self.start_arangodb()
            if self.options.only is None:
                self.migrate()
                self.start_proxy()
                if self.options.stage != "off" and not self.complete:
                    self.run("stage", "default", "*", "shadow" if self._flips else self.options.stage)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop everything in reverse order; a temporary folder is removed."""
        if self.watch is not None:
            self.watch.stop()
        self.stop_proxy()
        if self.arangodb is not None:
            self.arangodb.stop()
        self.stop_postgres()
        if self._temporary:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start_postgres(self) -> None:
        """Start the embedded PostgreSQL, or start it again on the same data; do nothing if a DSN is given."""
        if self.postgres is None:
            if self.dsn:
                return
            self.postgres = EmbeddedPostgres(
                port=self.options.pg_port,
                folder=self.folder / "postgres",
                options=dict(self.options.postgres),
                remove=self._litter,
            )
        self.postgres.start()
        self.dsn = self.postgres.dsn

    def stop_postgres(self, mode: str = "fast") -> None:
        """Stop the embedded PostgreSQL; `immediate` is a crash."""
        if self.postgres is not None:
            self.postgres.stop(mode)

    def start_arangodb(self) -> None:
        """Start the development ArangoDB; do nothing if a URL is given. It keeps its data in memory."""
        if self.arango_url and self.arangodb is None:
            return
        port = self._take(self.options.arango_port, "--arango-port")
        self.arango_url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "proxy.devserver.serve", "--host", "127.0.0.1", "--port", str(port)]
        self.arangodb = self._child("arangodb", command).start()
        self.arangodb.wait_for(lambda: answers(self.arango_url, "/_api/version"))

    def migrate(self) -> None:
        """Apply the migrations."""
        self.run("migrate")

    def start_proxy(self) -> None:
        """Start the proxy and wait until it is ready for traffic."""
        for port, option in ((self.port, "--port"), (self.admin_port, "--admin-port")):
            self._take(port, option)
        self.proxy = self._child("proxy", crossfade("proxy", "run")).start()
        self.proxy.wait_for(lambda: answers(self.admin_url, "/readyz", 200))

    def stop_proxy(self) -> None:
        """Stop the proxy in order: SIGTERM, traffic drained, the instance deregistered."""
        if self.proxy is not None:
            self.proxy.stop()

    def kill_proxy(self) -> None:
        """Kill the proxy by SIGKILL, to which it cannot react."""
        if self.proxy is not None:
            self.proxy.kill()

    def start_watch(self) -> None:
        """Start the watch for out-of-band writes: without one no collection flips."""
        self.watch = self._child("watch", crossfade("out-of-band", "watch")).start()

    def environment(self) -> dict[str, str]:
        """Return `CROSSFADE_*` of this stack: what the proxy runs with, and what `crossfade`
        commands need to find it.
        """
        return {
            "CROSSFADE_DSN": self.dsn,
            **(_COMPLETE if self.complete else {"CROSSFADE_ORIGIN": self.arango_url}),
            "CROSSFADE_AUTHENTICATION": "false",  # as the development ArangoDB
            "CROSSFADE_LISTEN_PORT": str(self.port),
            "CROSSFADE_ADMIN_PORT": str(self.admin_port),
            "CROSSFADE_STATE_DIR": str(self.folder / "state"),
            **({"CROSSFADE_DEV_AUTO_FLIP": "true"} if self._flips else {}),
            **self.options.settings,
        }

    def run(self, *arguments: str) -> str:
        """Run one `crossfade` command against this stack and return what it printed.

        Raise ConfigurationError with its output if it fails.
        """
        done = subprocess.run(
            crossfade(*arguments),
            env=os.environ | self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            words = (done.stderr or done.stdout).strip()
            raise ConfigurationError(f"`crossfade {' '.join(arguments)}` ended with {done.returncode}: {words}")
        return done.stdout

    def ended(self) -> Child | None:
        """Return a process that should be running and is not, if any."""
        server = self.postgres.running_server if self.postgres is not None else None
        for child in (server, self.arangodb, self.proxy, self.watch):
            if child is not None and child.pid and not child.running:
                return child
        return None

    @property
    def complete(self) -> bool:
        """True if PostgreSQL answers alone."""
        return self.options.stage == "complete" and self.options.only is None

    @property
    def _flips(self) -> bool:
        return self.options.stage == "flipped"

    @property
    def _litter(self) -> Path | None:
        return self.folder if self._temporary else None

    def _take(self, port: int, option: str) -> int:
        if port and port_taken(port):
            raise ConfigurationError(f"port {port} is taken: choose another one with {option}")
        return port or free_port()

    def _child(self, name: str, command: list[str]) -> Child:
        self.folder.mkdir(parents=True, exist_ok=True)
        return Child(
            name=name,
            command=command,
            log=self.folder / f"{name}.log",
            env=os.environ | self.environment(),
            remove=self._litter,
        )


def crossfade(*arguments: str) -> list[str]:
    """Return the command line of `crossfade …`, run by this very Python."""
    script = Path(sys.executable).with_name("crossfade")
    return [str(script), *arguments] if script.exists() else [sys.executable, "-m", "proxy.cli", *arguments]


def answers(url: str, path: str, status: int | None = None) -> bool:
    """Return True if a server answers GET there: with that status, or with any that is not a server error."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "127.0.0.1", parts.port, timeout=5)
    try:
        connection.request("GET", path)
        answered = connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return answered == status if status is not None else answered < 500
