"""The listener on real sockets, under asyncio and uvloop, alone and in front of an upstream pool."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable

import pytest
import uvloop

from proxy.http import HttpLimits, Listener, Upstream
from proxy.model.message import Handler, Request, Response, Tunnel
from tests.integration.http_fixtures import OK, Client, Server, client_tls, server_tls, until

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
BIG = 3 << 20


async def hello(request: Request) -> Response:
    return Response(200, [], b"hello")


OPEN: list[Listener] = []


async def listening(
    handler: Handler, *, limits: HttpLimits | None = None, tls: ssl.SSLContext | None = None
) -> Listener:
    """Run a listener that is closed even if the scenario fails: uvloop cannot close a loop with an open one."""
    listener = Listener(handler, limits=limits, tls=tls)
    await listener.start()
    OPEN.append(listener)
    return listener


async def relayed() -> None:
    """Relay a body of each kind both ways; check keep-alive and pipelining."""
    big = b"z" * BIG
    answers = [
        OK,
        b"HTTP/1.1 201 Created\r\nContent-Length: %d\r\nEtag: x\r\n\r\n" % BIG + big,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (BIG, big),
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone",
    ]
    async with Server(list(answers)) as server:
        upstream = Upstream(server.url, buffer_body=1 << 16)
        listener = await listening(upstream.request, limits=HttpLimits(buffer_body=1 << 16))
        async with Client(listener.port) as client:
            assert (await client.ask(GET))[1] == b"ok"
            head, body = await client.ask(b"PUT /big HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % BIG + big)
            assert head.startswith(b"HTTP/1.1 201 Created\r\nEtag: x\r\ncontent-length: %d" % BIG)
            assert body == big
            chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (BIG, big)
            client.writer.write(
                b"POST /chunks HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + GET
            )
            head = await client.reader.readuntil(b"\r\n\r\n")
            assert b"transfer-encoding: chunked" in head
            body = b""
            while size := int(await client.reader.readuntil(b"\r\n"), 16):
                body += (await client.reader.readexactly(size + 2))[:-2]
            await client.reader.readexactly(2)
            assert body == big
            assert (await client.answer())[1] == b"none"
        assert [request[:5] for request in server.requests] == [b"GET /", b"PUT /", b"POST ", b"GET /"]
        assert server.requests[1].endswith(big)
        assert b"\r\ncontent-length: %d\r\n" % BIG in server.requests[2]
        assert server.accepted == 1
        await until(lambda: not listener.connections)
        await listener.close(1)
        await upstream.close()


async def upgraded() -> None:
    """Check an upgrade through listener and pool, bytes both ways, and its end."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nwelcome ")
        while data := await reader.read(65536):
            writer.write(data.upper())

    async with Server([echo]) as server:
        upstream = Upstream(server.url)
        listener = await listening(upstream.request)
        async with Client(listener.port) as client:
            client.writer.write(b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nfirst ")
            head = await client.reader.readuntil(b"\r\n\r\n")
            assert head == b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nconnection: upgrade\r\n\r\n"
            assert await client.reader.readexactly(14) == b"welcome FIRST "
            client.writer.write(b"second")
            assert await client.reader.readexactly(6) == b"SECOND"
            assert upstream.open == 0  # a tunnel does not belong to the pool
        await until(lambda: not listener.connections)
        assert b"connection: upgrade\r\n" in server.requests[0]
        await listener.close(1)
        await upstream.close()


async def secured() -> None:
    """Check TLS to the client and to the server."""
    async with Server([OK] * 2, tls=server_tls()) as server:
        upstream = Upstream(server.url, tls=client_tls())
        listener = await listening(upstream.request, tls=server_tls())
        async with Client(listener.port, client_tls()) as client:
            assert (await client.ask(GET))[1] == b"ok"
            assert (await client.ask(GET))[1] == b"ok"
        await until(lambda: not listener.connections)
        await listener.close(1)
        await upstream.close()


async def refused() -> None:
    """Check that invalid framing gets 400 and a close."""
    listener = await listening(hello)
    async with Client(listener.port) as client:
        head, body = await client.ask(
            b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab" + GET
        )
        assert head.startswith(b"HTTP/1.1 400 ")
        assert b'"errorNum":400' in body
        assert await client.reader.read() == b""
    await listener.close(1)


async def drained() -> None:
    """Check that closing lets the request in progress end and accepts no further connection."""
    started, go = asyncio.Event(), asyncio.Event()

    async def slow(request: Request) -> Response:
        started.set()
        await go.wait()
        return Response(200, [], b"done")

    listener = await listening(slow)
    async with Client(listener.port) as busy, Client(listener.port) as idle:
        busy.writer.write(GET)
        await started.wait()
        closing = asyncio.ensure_future(listener.close(30))
        assert await idle.reader.read() == b""
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", listener.port)
        go.set()
        head, body = await busy.answer()
        assert b"connection: close" in head
        assert body == b"done"
        await closing
        assert listener.connections == 0


async def cut_short() -> None:
    """Check that a request that does not end within the grace period is cut."""
    started = asyncio.Event()

    async def endless(request: Request) -> Response:
        started.set()
        await asyncio.Event().wait()
        raise AssertionError

    listener = await listening(endless)
    async with Client(listener.port) as client:
        client.writer.write(GET)
        await started.wait()
        await listener.close(0.01)
        assert listener.connections == 0
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await client.answer()


@pytest.mark.parametrize("loop", LOOPS.values(), ids=LOOPS)
@pytest.mark.parametrize("scenario", [relayed, upgraded, secured, refused, drained, cut_short])
def test_each_scenario_passes_under_both_event_loops(
    scenario: Callable[[], Awaitable[None]], loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    async def bounded() -> None:
        try:
            async with asyncio.timeout(30):
                await scenario()
        finally:
            while OPEN:
                await OPEN.pop().close(0)

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(bounded())


async def test_a_slow_client_pauses_the_server_and_uses_bounded_memory() -> None:
    size = 64 << 20
    sent = 0

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        while sent < size:
            writer.write(b"x" * 65536)
            await writer.drain()
            sent += 65536

    async with Server([flood]) as server:
        upstream = Upstream(server.url, buffer_body=1 << 16)
        listener = Listener(upstream.request)
        await listener.start()
        async with Client(listener.port) as client:
            client.writer.write(GET)
            await until(lambda: upstream._pool.open and not next(iter(upstream._pool.open)).transport.is_reading())
            assert sent < size
        await until(lambda: not listener.connections)
        await until(lambda: upstream.open == 0)  # the rest of the answer is discarded
        await listener.close(1)
        await upstream.close()


async def test_a_write_completes_after_its_client_disconnects() -> None:
    """I3: the handler gets the origin's answer whether or not the client still waits for it."""
    answer, settled = asyncio.Event(), asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answer.wait()
        writer.write(OK)

    async with Server([slow]) as server:
        upstream = Upstream(server.url)

        async def write(request: Request) -> Response:
            response = await upstream.request(request)
            assert response.body == b"ok"
            settled.set()
            return response

        listener = Listener(write)
        await listener.start()
        async with Client(listener.port) as client:
            client.writer.write(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx")
            await until(lambda: server.requests)
            client.writer.transport.abort()
        answer.set()
        await settled.wait()
        await until(lambda: not listener.connections)
        await listener.close(1)
        await upstream.close()


async def test_an_unreachable_server_gives_503_in_arangodbs_shape() -> None:
    async with Server([OK]) as server:
        url = server.url
    upstream = Upstream(url)
    listener = Listener(upstream.request)
    await listener.start()
    async with Client(listener.port) as client:
        head, body = await client.ask(GET)
        assert head.startswith(b"HTTP/1.1 503 ")
        assert b'"errorNum":503' in body
    await listener.close(1)
    await upstream.close()


async def test_a_custom_upgrade_handler_receives_the_tunnel() -> None:
    async def shout(tunnel: Tunnel) -> None:
        while data := await tunnel.receive():
            await tunnel.send(data.upper())

    async def handler(request: Request) -> Response:
        return Response(101, [(b"Upgrade", b"shout")], upgrade=shout)

    listener = Listener(handler)
    await listener.start()
    async with Client(listener.port) as client:
        client.writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\nhey")
        assert (await client.reader.readuntil(b"HEY")).startswith(b"HTTP/1.1 101 ")
        client.writer.write_eof()
        assert await client.reader.read() == b""
    await until(lambda: not listener.connections)
    await listener.close(1)
    await listener.close(1)


async def test_a_client_that_does_not_take_its_last_answer_is_cut_when_draining() -> None:
    async def large(request: Request) -> Response:
        return Response(200, [], b"x" * (64 << 20))

    listener = Listener(large)
    await listener.start()
    async with Client(listener.port) as client:
        client.writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        await client.reader.readuntil(b"\r\n\r\n")
        await listener.close(0.01)
        assert listener.connections == 0


async def test_quiet_clients_are_closed_by_the_listeners_clock() -> None:
    listener = Listener(hello, limits=HttpLimits(idle=0.05))
    await listener.start()
    async with Client(listener.port) as client:
        assert (await client.ask(GET))[1] == b"hello"
        assert await client.reader.read() == b""
    await listener.close(1)
