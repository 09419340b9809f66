"""`crossfade dev`: servers start, can be reached, and have ended afterwards, however it ends."""

from __future__ import annotations

import contextlib
import os
import re
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
from arango.client import ArangoClient

from deploy.demo.postgres import port_taken
from deploy.demo.stack import Part, Stack, StackOptions
from proxy.base.errors import ConfigurationError

QUICK = {"fsync": "off", "shared_buffers": "16MB"}
ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in ("ARANGO_URL", "POSTGRES_DSN")}


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition was not reached"
        time.sleep(0.02)


@pytest.fixture(autouse=True)
def _embedded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ARANGO_URL", raising=False)
    monkeypatch.delenv("POSTGRES_DSN", raising=False)


async def ask(dsn: str, sql: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


@pytest.mark.long
async def test_the_dev_stack_serves_an_unmodified_client() -> None:
    with Stack(StackOptions.free(stage="mirror", postgres=QUICK)) as stack:
        client = ArangoClient(hosts=stack.url)
        with contextlib.closing(client):
            system = client.db("_system", username="root", password="")
            system.create_database("shop")
            shop: Any = client.db("shop", username="root", password="")
            orders = shop.create_collection("orders")
            orders.insert({"_key": "1", "total": 9.5})
            orders.update({"_key": "1", "paid": True})
            assert orders.get("1")["paid"] is True
            assert list(shop.aql.execute("FOR o IN orders FILTER o.paid == true RETURN o.total")) == [9.5]
        until(lambda: '"orders"' in stack.run("status", "--json") or "orders" in stack.run("status"))
        assert await ask(stack.dsn, "SELECT stage FROM _crossfade.collection WHERE name = 'orders'") == "mirror"
        deadline = time.monotonic() + 30
        while await ask(stack.dsn, "SELECT doc ->> 'paid' FROM shop.orders WHERE key = '1'") != "true":
            assert time.monotonic() < deadline, "the write was not mirrored"
        first = stack.proxy
        assert first is not None
        stack.kill_proxy()
        assert stack.ended() is first
        stack.start_proxy()
        assert stack.ended() is None
        folder, ports = stack.folder, (stack.port, stack.admin_port)
    assert not folder.exists()
    assert not any(map(port_taken, ports))


def test_a_stack_of_postgresql_alone_has_no_arangodb() -> None:
    with Stack(StackOptions.free(stage="complete", postgres=QUICK)) as stack:
        assert stack.arangodb is None
        assert "CROSSFADE_ORIGIN" not in stack.environment()
        with contextlib.closing(ArangoClient(hosts=stack.url)) as client:
            database: Any = client.db("_system", username="root", password="")
            assert list(database.aql.execute("RETURN 1 + 1")) == [2]


def test_a_stack_of_arangodb_alone_has_no_postgresql_and_no_proxy() -> None:
    with Stack(StackOptions.free(only="arangodb")) as stack:
        with contextlib.closing(ArangoClient(hosts=stack.arango_url)) as client:
            assert client.db("_system", username="root", password="").version()
        assert stack.postgres is None
        assert stack.proxy is None
        stack.stop_proxy()
        stack.kill_proxy()
        stack.stop_postgres()


async def test_a_named_postgres_folder_survives_a_restart() -> None:
    with tempfile.TemporaryDirectory(prefix="crossfade-test-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)  # PostgreSQL's user passes through when we are root
        folder = Path(name) / "new"
        with Stack(StackOptions.free(only="postgres", folder=folder, postgres=QUICK)) as stack:
            await ask(stack.dsn, "CREATE TABLE kept (one int)")
            stack.stop_postgres("immediate")
            stack.start_postgres()
            assert await ask(stack.dsn, "SELECT count(*) FROM kept") == 0
        assert (folder / "postgres" / "data").exists()


def test_a_given_server_is_used_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTGRES_DSN", "postgresql://elsewhere/x")
    monkeypatch.setenv("ARANGO_URL", "http://elsewhere:8529/")
    stack = Stack(StackOptions.free())
    stack.start_postgres()
    stack.start_arangodb()
    assert stack.postgres is None
    assert stack.arangodb is None
    assert stack.environment()["CROSSFADE_DSN"] == "postgresql://elsewhere/x"
    assert stack.environment()["CROSSFADE_ORIGIN"] == "http://elsewhere:8529"
    stack.stop()


@pytest.mark.parametrize(("only", "given"), [("postgres", "POSTGRES_DSN"), ("arangodb", "ARANGO_URL")])
def test_a_stack_of_one_server_refuses_a_given_server(monkeypatch: pytest.MonkeyPatch, only: Part, given: str) -> None:
    monkeypatch.setenv(given, "scheme://u:s3cret@elsewhere")
    with pytest.raises(ConfigurationError, match=f"{given} names a server: unset it") as refused:
        Stack(StackOptions.free(only=only)).start()
    assert "s3cret" not in str(refused.value)


def test_a_taken_port_is_reported_with_its_option() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"port {port} is taken: choose another one with --arango-port"):
            Stack(StackOptions(only="arangodb", arango_port=port)).start()


def test_a_failing_command_is_shown_with_its_output() -> None:
    stack = Stack(StackOptions.free(dsn="postgresql://127.0.0.1:1/none", arango_url="http://127.0.0.1:1"))
    with pytest.raises(ConfigurationError, match="`crossfade migrate` ended with 2"):
        stack.start()
    assert not stack.folder.exists()


@pytest.fixture
def dev() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    running: list[subprocess.Popen[str]] = []

    def start(*arguments: str, through: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*through, sys.executable, "-c", "from proxy.cli import main; main()", "dev", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=ENVIRONMENT,
            cwd=Path(__file__).parents[2],
        )
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


def urls(process: subprocess.Popen[str], last: str = "logs") -> dict[str, str]:
    """Return what it prints once all is up: `name  value` lines up to the last."""
    assert process.stdout is not None
    printed: dict[str, str] = {}
    for line in process.stdout:
        found = re.match(r"(proxy|admin|ArangoDB|PostgreSQL|logs) +(\S+)", line)
        if found:
            printed[found[1]] = found[2]
            if found[1] == last:
                return printed
    raise AssertionError(f"it ended: {printed}")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda s: s.name)
def test_dev_ends_and_leaves_nothing_behind(dev: Callable[..., subprocess.Popen[str]], how: signal.Signals) -> None:
    process = dev("--only", "arangodb", "--arango-port", "0")
    printed = urls(process)
    port = int(printed["ArangoDB"].rpartition(":")[2])
    assert port_taken(port)
    process.send_signal(how)
    process.wait(30)
    until(lambda: not port_taken(port))
    until(lambda: not Path(printed["logs"]).exists())
    if how is not signal.SIGKILL:
        assert process.returncode == 0


def test_dev_ends_when_its_parent_ends(dev: Callable[..., subprocess.Popen[str]]) -> None:
    process = dev("--only", "arangodb", "--arango-port", "0", through=("sh", "-c", '"$@"; exit 0', "sh"))
    printed = urls(process)
    port = int(printed["ArangoDB"].rpartition(":")[2])
    process.kill()
    until(lambda: not port_taken(port))


def test_dev_reports_a_server_that_ends(dev: Callable[..., subprocess.Popen[str]]) -> None:
    process = dev("--only", "postgres", "--pg-port", "0")
    printed = urls(process)
    pid = int((Path(printed["logs"]) / "postgres" / "data" / "postmaster.pid").read_text().splitlines()[0])
    os.kill(pid, signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert "PostgreSQL has ended" in out
    assert process.returncode == 1


def test_dev_refuses_a_stage_that_collections_cannot_begin_with(dev: Callable[..., subprocess.Popen[str]]) -> None:
    process = dev("--stage", "promoted")
    out, _ = process.communicate(timeout=30)
    assert "new collections begin with off, mirror, shadow, flipped or complete" in re.sub(r"[│\s]+", " ", out)
    assert process.returncode == 2


def test_dev_exits_2_if_a_port_is_taken(dev: Callable[..., subprocess.Popen[str]]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        process = dev("--only", "arangodb", "--arango-port", str(other.getsockname()[1]))
        out, _ = process.communicate(timeout=30)
    assert "is taken" in out
    assert process.returncode == 2
