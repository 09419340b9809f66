"""HTTP/2 on real sockets: httpx and curl against the development server, the proxy, and a listener with an upstream."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest
import uvloop

from proxy.devserver.serve import DevelopmentServer
from proxy.http import HttpLimits, Listener, Upstream
from proxy.model.message import Request, Response
from proxy.model.stages import CollectionState, Stage
from tests.harness import running

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
BIG = 5 << 20
MIRROR = CollectionState(Stage.MIRROR)


def client(url: str) -> httpx.AsyncClient:
    """Return a client with HTTP/2 alone, on one connection."""
    limits = httpx.Limits(max_connections=1)
    return httpx.AsyncClient(base_url=url, http1=False, http2=True, limits=limits, timeout=60)


async def relayed() -> None:
    """Relay bodies of each kind both ways, through the listener and an upstream with HTTP/1.1."""

    async def origin(request: Request) -> Response:
        body = request.body
        whole = body if isinstance(body, bytes) else b"".join([piece async for piece in body])
        return Response(200, [(b"X-Target", request.target)], whole)

    server = Listener(origin)
    await server.start()
    upstream = Upstream(f"http://127.0.0.1:{server.port}", buffer_body=1 << 16)
    front = Listener(upstream.request, limits=HttpLimits(buffer_body=1 << 16))
    await front.start()
    try:
        async with client(f"http://127.0.0.1:{front.port}") as http:
            big = bytes(range(256)) * (BIG // 256)

            async def unknown_length() -> AsyncIterator[bytes]:
                for at in range(0, BIG, 1 << 19):
                    yield big[at : at + (1 << 19)]

            small, known_length, unknown = await asyncio.gather(
                http.post("/small", content=b"x"),
                http.put("/known", content=big),
                http.put("/unknown", content=unknown_length()),
            )
            assert (small.content, small.headers["x-target"], small.http_version) == (b"x", "/small", "HTTP/2")
            assert known_length.content == unknown.content == big
            assert front.connections == 1
    finally:
        await front.close(1)
        await upstream.close()
        await server.close(1)


@pytest.mark.parametrize("loop", LOOPS.values(), ids=LOOPS)
def test_bodies_of_each_kind_are_relayed_under_both_event_loops(loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(asyncio.wait_for(relayed(), 60))


async def test_concurrent_http2_requests_through_the_proxy_are_answered_and_mirrored(dsn: str, tmp_path: Path) -> None:
    """The Java driver's default, HTTP/2 alone: many concurrent requests, all answered and mirrored."""
    async with running(dsn, tmp_path) as crossfade, client(str(crossfade.client.base_url)) as http:
        assert (await http.post("/_api/collection", json={"name": "c"})).status_code == 200
        await crossfade.move(MIRROR, "_system/c")

        async def one(number: int) -> None:
            key = f"k{number}"
            body = {"_key": key, "value": number, "text": "x" * (number * 997 % 50_000)}
            written = await http.post("/_api/document/c", json=body)
            assert (written.status_code, written.json()["_key"], written.http_version) == (202, key, "HTTP/2")
            read = await http.get(f"/_api/document/c/{key}", headers={"if-none-match": '"other"'})
            assert read.json()["value"] == number
            assert read.headers["etag"] == written.headers["etag"]
            missing = await http.get(f"/_api/document/c/none{number}")
            assert (missing.status_code, missing.json()["errorNum"]) == (404, 1202)
            query = {"query": "RETURN @n", "bindVars": {"n": number}}
            assert (await http.post("/_api/cursor", json=query)).json()["result"] == [number]

        await asyncio.gather(*(one(number) for number in range(60)))
        await crossfade.drained()
        assert await crossfade.differences("_system/c") == []


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_curl_with_prior_knowledge_reads_and_writes() -> None:
    async with DevelopmentServer() as server:

        def curl(*arguments: str) -> list[str]:
            command = [
                "curl",
                "-sS",
                "--max-time",
                "20",
                "--http2-prior-knowledge",
                "-w",
                "\n%{http_version} %{http_code}",
            ]
            done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=30, check=True)
            return done.stdout.rsplit("\n", 1)

        if "HTTP2" not in subprocess.run(["curl", "-V"], capture_output=True, text=True, check=True).stdout:
            pytest.skip("this curl does not support HTTP/2")
        assert (await asyncio.to_thread(curl, f"{server.url}/_api/version"))[1] == "2 200"
        create = [f"{server.url}/_api/collection", "-d", '{"name":"c"}']
        assert (await asyncio.to_thread(curl, *create))[1] == "2 200"
        document = json.dumps({"_key": "big", "text": "y" * BIG})
        write = [f"{server.url}/_api/document/c", "--data-binary", "@-"]
        command = ["curl", "-sS", "--http2-prior-knowledge", "--max-time", "20", *write]
        written = await asyncio.to_thread(
            lambda: subprocess.run(command, input=document, capture_output=True, text=True, timeout=30, check=True)
        )
        assert json.loads(written.stdout)["_key"] == "big"
        body, status = await asyncio.to_thread(curl, f"{server.url}/_api/document/c/big")
        assert (len(json.loads(body)["text"]), status) == (BIG, "2 200")


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_draining_answers_requests_in_progress() -> None:
    started, go = asyncio.Event(), asyncio.Event()

    async def slow(request: Request) -> Response:
        started.set()
        await go.wait()
        return Response(200, [], b"done")

    listener = Listener(slow)
    await listener.start()
    url = f"http://127.0.0.1:{listener.port}/"
    process = await asyncio.create_subprocess_exec(
        "curl", "-sS", "--http2-prior-knowledge", "--max-time", "20", url, stdout=asyncio.subprocess.PIPE
    )
    await started.wait()
    closing = asyncio.create_task(listener.close(20))
    await asyncio.sleep(0)
    go.set()
    answer, _ = await process.communicate()
    assert (answer, process.returncode) == (b"done", 0)
    await closing
    assert listener.connections == 0
