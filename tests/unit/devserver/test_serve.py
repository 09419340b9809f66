"""A store as a server: within this process, and as a process."""

from __future__ import annotations

import gzip
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from proxy.base.errors import ArangoError, UpstreamUnavailable
from proxy.devserver.serve import DevelopmentServer, ServerOptions, StoreHandler, options_of
from proxy.gateway.operation_reader import OperationReader
from proxy.model.message import Request
from proxy.model.operations import Operation, Outcome
from tests.harness import eventually


class Refusing:
    """A store that raises."""

    name = "refusing"

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def execute(self, operation: Operation) -> Outcome:
        raise self.error


async def test_what_a_store_raises_is_answered_in_arangodbs_shape() -> None:
    refused = await StoreHandler(Refusing(ArangoError(1202)))(Request("GET", b"/_api/document/c/k"))
    assert refused.status == 404
    assert refused.body == b'{"code":404,"error":true,"errorMessage":"document not found","errorNum":1202}'
    away = await StoreHandler(Refusing(UpstreamUnavailable("it is away")))(Request("GET", b"/_api/version"))
    assert away.status == 503
    assert away.body == b'{"code":503,"error":true,"errorMessage":"it is away","errorNum":503}'


async def test_a_streamed_body_is_put_together() -> None:
    async with DevelopmentServer() as server:
        handler = StoreHandler(server.store)

        async def parts() -> AsyncIterator[bytes]:
            yield b'{"name":'
            yield b'"c"}'

        response = await handler(Request("POST", b"/_api/collection", [], parts()))
        assert response.status == 200


async def test_a_body_has_a_limit_streamed_or_encoded() -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b"x" * 60
        yield b"x" * 60

    handler = StoreHandler(DevelopmentServer().store, OperationReader(100))
    encoded = [(b"content-encoding", b"gzip")]
    for request in (
        Request("POST", b"/_api/document/c", [], parts()),
        Request("POST", b"/_api/document/c", encoded, gzip.compress(b" " * 1000)),
    ):
        refused = await handler(request)
        assert refused.status == 413
        assert isinstance(refused.body, bytes)
        assert b'"errorNum":413' in refused.body


async def test_over_a_socket() -> None:
    async with DevelopmentServer() as server, httpx.AsyncClient(base_url=server.url) as client:
        assert (await client.post("/_api/collection", json={"name": "c"})).status_code == 200
        assert (await client.post("/_api/document/c", json={"_key": "k"})).status_code == 202
        whole = await client.get("/_api/document/c/k")
        head = await client.head("/_api/document/c/k")
        assert head.headers["etag"] == whole.headers["etag"]
        assert head.content == b""
        unchanged = await client.get("/_api/document/c/k", headers={"if-none-match": whole.headers["etag"]})
        assert unchanged.status_code == 304
        assert unchanged.content == b""


def test_as_a_process_that_keeps_a_snapshot_and_ends_on_sigterm(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "proxy.devserver.serve", "--port", "0", "--snapshot", str(tmp_path / "kept")]
    for status in (200, 409):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            url = process.stdout.readline().split()[-1]
            assert httpx.post(f"{url}/_api/collection", json={"name": "c"}).status_code == status
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0


async def test_documents_expire_by_themselves() -> None:
    async with DevelopmentServer(ttl_interval=0.01) as server, httpx.AsyncClient(base_url=server.url) as client:
        await client.post("/_api/collection", json={"name": "c"})
        index = {"type": "ttl", "fields": ["until"], "expireAfter": 0}
        assert (await client.post("/_api/index?collection=c", json=index)).status_code == 201
        await client.post("/_api/document/c", json=[{"_key": "over", "until": 1}, {"_key": "stays"}])

        async def over() -> bool:
            return (await client.get("/_api/document/c/over")).status_code == 404

        await eventually(over, "the document is gone")
        assert (await client.get("/_api/document/c/stays")).status_code == 200


def test_a_process_that_checks_who_asks_and_saves_when_it_is_told_to(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "proxy.devserver.serve", "--port", "0", "--auth", "--root-password", "secret"]
    with subprocess.Popen([*command, "--snapshot", str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        assert httpx.get(f"{url}/_api/version").status_code == 401
        assert httpx.get(f"{url}/_api/version", auth=("root", "secret")).status_code == 200
        process.send_signal(signal.SIGUSR1)
        limit = time.monotonic() + 20
        while not (tmp_path / "current").is_file():
            assert time.monotonic() < limit
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_the_command_line() -> None:
    assert options_of([]) == ServerOptions()
    assert options_of(["--auth", "--ttl-interval", "0"]) == ServerOptions(root_password="", ttl_interval=0.0)
    with pytest.raises(SystemExit):
        options_of(["--root-password", "x"])
