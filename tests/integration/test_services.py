"""A FastAPI service behind the proxy: streams pass as they arrive, and each side learns that the other has
disconnected.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse, StreamingResponse
from starlette.types import Receive, Scope, Send

from proxy.base.metrics import REGISTRY
from proxy.http import Listener, Upstream
from proxy.model.message import Request as Message
from proxy.model.message import Response as Answer
from proxy.model.message import Streaming
from tests.harness import eventually, running
from tests.integration.http_fixtures import Server

TOKEN = b"data: %d\n\n"


@dataclass
class Service:
    """A service controlled by the test: `allow` releases a piece, `client_left` is set when the client disconnected."""

    allow: asyncio.Queue[int] = field(default_factory=asyncio.Queue)
    received: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)
    poll_started: asyncio.Event = field(default_factory=asyncio.Event)
    client_left: asyncio.Event = field(default_factory=asyncio.Event)

    def application(self) -> FastAPI:
        app = FastAPI()

        @app.get("/chat/events")
        async def events() -> StreamingResponse:
            return StreamingResponse(self._tokens(), media_type="text/event-stream")

        @app.get("/chat/poll")
        async def poll(request: Request) -> dict[str, int]:
            self.poll_started.set()
            waiting = asyncio.ensure_future(self.allow.get())
            while not waiting.done():
                await asyncio.wait({waiting}, timeout=0.01)
                if await request.is_disconnected():
                    waiting.cancel()
                    self.client_left.set()
                    break
            return {"number": waiting.result() if not waiting.cancelled() else -1}

        @app.put("/chat/upload")
        async def upload(request: Request) -> dict[str, str]:
            digest, size = hashlib.sha256(), 0
            async for piece in request.stream():
                digest.update(piece)
                size += len(piece)
            return {"sha256": digest.hexdigest(), "size": str(size)}

        @app.get("/chat/headers")
        async def headers(request: Request) -> dict[str, str]:
            return dict(request.headers)

        @app.get("/v1/chat/where")
        @app.get("/chat/where")
        async def where(request: Request) -> str:
            return f"{request.url.path}?{request.url.query}"

        @app.get("/chat/elsewhere")
        async def elsewhere() -> RedirectResponse:
            return RedirectResponse("/chat/where", 307)

        app.mount("/chat/echo", self._echo)
        return app

    async def _echo(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Answer each piece of the body as it comes."""
        await send({"type": "http.response.start", "status": 200, "headers": []})
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.client_left.set()
                return
            piece, more = message.get("body", b""), message.get("more_body", False)
            if piece:
                self.received.put_nowait(piece)
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def _tokens(self) -> AsyncIterator[bytes]:
        try:
            while (number := await self.allow.get()) >= 0:
                yield TOKEN % number
        finally:
            self.client_left.set()


@contextlib.asynccontextmanager
async def served(app: FastAPI) -> AsyncIterator[str]:
    """The URL of an application that uvicorn serves."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="off", timeout_graceful_shutdown=1))
    task = asyncio.create_task(server.serve())
    await eventually(lambda: server.started, "uvicorn serves")
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    await task


@dataclass
class Environment:
    service: Service
    client: httpx.AsyncClient


@pytest.fixture(params=["HTTP/1.1", "HTTP/2"])
async def env(request: pytest.FixtureRequest, dsn: str, tmp_path: Path) -> AsyncIterator[Environment]:
    """A client, the proxy, the service. The proxy's own time limit is shorter than anything that the service does."""
    service = Service()
    two = request.param == "HTTP/2"
    async with (
        served(service.application()) as url,
        running(dsn, tmp_path, services={"/chat": url, "/old": f"{url}/v1"}, request_timeout=1.0) as stack,
        httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{stack.application.port}", http1=not two, http2=two, timeout=60
        ) as client,
    ):
        yield Environment(service, client)


async def test_each_event_arrives_before_the_service_makes_the_next_one(env: Environment) -> None:
    async with env.client.stream("GET", "/chat/events") as answer:
        # the head has arrived before the service was allowed to send anything
        assert answer.headers["content-type"].startswith("text/event-stream")
        pieces = answer.aiter_bytes()
        for number in range(4):
            env.service.allow.put_nowait(number)
            assert await anext(pieces) == TOKEN % number
        env.service.allow.put_nowait(-1)
        assert [piece async for piece in pieces] == []


async def test_a_long_poll_may_take_longer_than_the_proxys_own_time_limit(env: Environment) -> None:
    poll = asyncio.create_task(env.client.get("/chat/poll"))
    await env.service.poll_started.wait()
    await asyncio.sleep(1.5)
    assert not poll.done()
    env.service.allow.put_nowait(7)
    assert (await poll).json() == {"number": 7}


async def test_the_service_is_notified_when_a_client_leaves_an_event_stream(env: Environment) -> None:
    async with env.client.stream("GET", "/chat/events") as answer:
        env.service.allow.put_nowait(1)
        assert await anext(answer.aiter_bytes()) == TOKEN % 1
    await env.client.aclose()
    await asyncio.wait_for(env.service.client_left.wait(), 30)


async def test_the_service_is_notified_when_a_client_leaves_a_long_poll(env: Environment) -> None:
    poll = asyncio.create_task(env.client.get("/chat/poll"))
    await env.service.poll_started.wait()
    poll.cancel()
    await asyncio.wait({poll})
    await env.client.aclose()
    await asyncio.wait_for(env.service.client_left.wait(), 30)
    labels = {"route": "GET /chat/poll", "status": "499"}
    await eventually(
        lambda: (REGISTRY.get_sample_value("crossfade_service_requests_total", labels) or 0) > 0,
        "the request is counted",
    )


async def test_an_upload_and_its_answer_are_streamed_concurrently(env: Environment) -> None:
    """The service answers a piece before the client has sent the next one."""
    sent: asyncio.Queue[bytes] = asyncio.Queue()

    async def body() -> AsyncIterator[bytes]:
        while piece := await sent.get():
            yield piece

    async def talk() -> bytes:
        return (await env.client.post("/chat/echo/", content=body())).content

    exchange = asyncio.create_task(talk())
    pieces = [b"one", b"two" * 1000, b"three"]
    for piece in pieces:
        sent.put_nowait(piece)
        received = b""
        while len(received) < len(piece):
            received += await asyncio.wait_for(env.service.received.get(), 30)
        assert received == piece
    sent.put_nowait(b"")
    assert await exchange == b"".join(pieces)


async def test_the_service_is_notified_when_a_client_aborts_an_upload(env: Environment) -> None:
    started = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"one"
        started.set()
        await asyncio.Event().wait()

    exchange = asyncio.create_task(env.client.post("/chat/echo/", content=body()))
    await started.wait()
    assert await asyncio.wait_for(env.service.received.get(), 30) == b"one"
    exchange.cancel()
    await asyncio.wait({exchange})
    await env.client.aclose()
    await asyncio.wait_for(env.service.client_left.wait(), 30)


@pytest.mark.parametrize("chunked", [True, False])
async def test_a_large_upload_arrives_completely(env: Environment, chunked: bool) -> None:
    content = bytes(range(256)) * (48 << 10)  # 12 MiB: more than the proxy ever holds

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(content), 1 << 20):
            yield content[start : start + (1 << 20)]

    answer = await env.client.put("/chat/upload", content=pieces() if chunked else content)
    assert answer.json() == {"sha256": hashlib.sha256(content).hexdigest(), "size": str(len(content))}


async def test_the_service_receives_forwarded_headers(env: Environment) -> None:
    plain = (await env.client.get("/chat/headers", headers={"host": "api.example"})).json()
    assert (plain["x-forwarded-for"], plain["x-forwarded-proto"]) == ("127.0.0.1", "http")
    assert plain["host"] == plain["x-forwarded-host"]
    before = {"x-forwarded-for": "203.0.113.9", "x-forwarded-proto": "https", "x-forwarded-host": "shop.example"}
    forwarded = (await env.client.get("/chat/headers", headers=before)).json()
    assert {name: forwarded[name] for name in before} == {**before, "x-forwarded-for": "203.0.113.9, 127.0.0.1"}


async def test_the_prefix_stays_in_the_path_after_the_path_of_the_url(env: Environment) -> None:
    assert (await env.client.get("/chat/where?a=%2F&b")).json() == "/chat/where?a=%2F&b"
    assert (await env.client.get("/chatter/where")).status_code == 404
    assert (await env.client.get("/old/chat/where")).status_code == 404  # /v1/old/chat/where: not stripped
    moved = await env.client.get("/chat/elsewhere")
    assert (moved.status_code, moved.headers["location"]) == (307, "/chat/where")


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (None, 502),  # closed without a word
        (b"HTTP/1.1 200 OK\r\nConte", 502),
        (HEAD + b"Content-Length: 10\r\n\r\nhalf", None),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", None),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n\r\n", 200),
        (HEAD + b"\r\nuntil it closes", 200),
    ],
)
async def test_an_incomplete_answer_of_a_service_is_not_passed_on_as_complete(
    dsn: str, tmp_path: Path, sent: bytes | None, status: int | None
) -> None:
    """status: what the client gets; None: the head, and then a cut connection."""
    async with (
        Server([sent]) as server,
        running(dsn, tmp_path, services={"/chat": server.url}) as stack,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{stack.application.port}") as client,
    ):
        if status is None:
            with pytest.raises(httpx.RemoteProtocolError):
                await client.post("/chat/x")
        else:
            assert (await client.post("/chat/x")).status_code == status
        assert len(server.requests) == 1, "a POST that was sent is not retried"


async def test_a_read_on_a_connection_that_was_closed_while_idle_is_sent_again(dsn: str, tmp_path: Path) -> None:
    complete = HEAD + b"Content-Length: 2\r\n\r\nok"
    async with (
        Server([complete, None], [complete]) as server,
        running(dsn, tmp_path, services={"/chat": server.url}) as stack,
    ):
        answers = [(await stack.client.get("/chat/x")).status_code for _ in range(2)]
        assert answers == [200, 200]


async def test_an_answer_without_a_length_is_streamed_on_database_paths() -> None:
    """If the proxy does not read the answer; an answer with a length is passed on as a whole."""
    allow: asyncio.Queue[bytes] = asyncio.Queue()

    async def origin(_request: Message) -> Answer:
        async def pieces() -> AsyncIterator[bytes]:
            while piece := await allow.get():
                yield piece

        return Answer(200, [], pieces())

    listener = Listener(origin, host="127.0.0.1", port=0)
    await listener.start()
    pool = Upstream(f"http://127.0.0.1:{listener.port}")
    try:
        for streaming in (Streaming.OPEN_ENDED, Streaming.ALL):
            allow.put_nowait(b"one")
            answer = await pool.request(Message("GET", b"/_api/foxx/tail", streaming=streaming))
            assert not isinstance(answer.body, bytes)
            assert await anext(answer.body) == b"one"
            allow.put_nowait(b"two")
            assert await anext(answer.body) == b"two"
            allow.put_nowait(b"")
            assert [piece async for piece in answer.body] == []
    finally:
        await pool.close()
        await listener.close()
