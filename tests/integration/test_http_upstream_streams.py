"""Large answers and streamed bodies through the pool: backpressure, broken lengths, early answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from proxy.base.errors import FramingError, UpstreamOutcomeUnknown, UpstreamUnavailable
from proxy.http.limits import HIGH_WATER
from proxy.http.stream import BodyStream
from proxy.http.upstream import Upstream
from proxy.model.message import Request, Response
from tests.integration.http_fixtures import OK, Server, client_tls, server_tls, until
from tests.integration.upstream_fixtures import GET, never


async def whole(response: Response) -> bytes:
    body = response.body
    return body if isinstance(body, bytes) else b"".join([piece async for piece in body])


# streaming

BIG = 4 * HIGH_WATER


def large_answer(size: int = BIG) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size


async def test_a_large_answer_is_streamed_and_its_connection_is_reused() -> None:
    async with Server([large_answer(), OK]) as server:
        pool = Upstream(server.url, buffer_body=1000)
        response = await pool.request(GET)
        assert not isinstance(response.body, bytes)
        assert await whole(response) == b"x" * BIG
        assert (await pool.request(GET)).body == b"ok"
        assert server.accepted == 1
        await pool.close()


async def test_a_slow_reader_pauses_the_server() -> None:
    written = 0

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (64 << 20))
        while written < 64 << 20:
            writer.write(b"x" * 65536)
            await writer.drain()
            written += 65536

    async with Server([flood]) as server:
        pool = Upstream(server.url, buffer_body=1000)
        response = await pool.request(GET)
        [connection] = pool._pool.open
        await until(lambda: not connection.transport.is_reading())
        stream = response.body
        assert isinstance(stream, BodyStream)
        assert stream.size <= 2 * HIGH_WATER
        async for _ in stream:
            if connection.transport.is_reading():
                break
        await stream.aclose()
        await until(lambda: pool.open == 0)
        await pool.close()


async def test_the_reader_of_an_answer_that_is_cut_gets_an_error() -> None:
    async with Server([large_answer()[: BIG // 2]]) as server:
        pool = Upstream(server.url, buffer_body=1000)
        response = await pool.request(GET)
        with pytest.raises(UpstreamOutcomeUnknown):
            await whole(response)
        await pool.close()


async def test_a_streamed_answer_that_stalls_times_out() -> None:
    async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\nx")
        await reader.read()

    async with Server([stall]) as server:
        pool = Upstream(server.url, buffer_body=1000, request_timeout=0.1)
        response = await pool.request(GET)
        with pytest.raises(UpstreamOutcomeUnknown, match="within"):
            await whole(response)
        await pool.close()


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_a_body_of_known_length_streams_through() -> None:
    async with Server([OK]) as server:
        pool = Upstream(server.url)
        body = pieces(b"x" * BIG, b"", b"end")
        request = Request("PUT", b"/x", [(b"Content-Length", b"%d" % (BIG + 3))], body)
        assert (await pool.request(request)).status == 200
        assert server.requests[0].endswith(b"xend")
        assert pool.idle == 1
        await pool.close()


@pytest.mark.parametrize("buffer_body", [4, 4000])
async def test_a_body_of_unknown_length_is_stored_and_sent_with_its_length(buffer_body: int) -> None:
    async with Server([OK]) as server:
        pool = Upstream(server.url, buffer_body=buffer_body)
        await pool.request(Request("PUT", b"/x", [], pieces(b"abc", b"def")))
        assert server.requests[0].endswith(b"\r\ncontent-length: 6\r\n\r\nabcdef")
        await pool.close()


async def test_chunks_are_sent_to_a_server_that_accepts_them() -> None:
    got: list[bytes] = []

    async def chunked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append(await reader.readuntil(b"0\r\n\r\n"))
        writer.write(OK)

    async with Server([chunked]) as server:
        pool = Upstream(server.url, chunked=True)
        await pool.request(Request("PUT", b"/x", [], pieces(b"abc", b"", b"def")))
        assert got == [b"3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n"]
        assert b"transfer-encoding: chunked" in server.requests[0]
        await pool.close()


@pytest.mark.parametrize("parts", [(b"abc",), (b"abc", b"defg")])
async def test_a_body_that_breaks_its_length_is_not_finished(parts: tuple[bytes, ...]) -> None:
    async with Server([never]) as server:
        pool = Upstream(server.url)
        with pytest.raises(UpstreamOutcomeUnknown, match="Content-Length"):
            await pool.request(Request("PUT", b"/x", [(b"Content-Length", b"6")], pieces(*parts)))
        await until(lambda: pool.open == 0)
        await pool.close()


async def test_a_client_that_aborts_its_body_aborts_the_request() -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"abc"
        raise FramingError("the client is gone")

    async with Server([never]) as server:
        pool = Upstream(server.url)
        with pytest.raises(FramingError, match="gone"):
            await pool.request(Request("PUT", b"/x", [(b"Content-Length", b"6")], broken()))
        await until(lambda: pool.open == 0)
        await pool.close()


async def test_an_early_answer_ends_the_sending() -> None:
    refused = b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno"

    async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(refused)
        await asyncio.Event().wait()

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 65536

    async with Server(early) as server:
        pool = Upstream(server.url)
        response = await pool.request(Request("PUT", b"/x", [(b"Content-Length", b"9" * 15)], endless()))
        assert (response.status, response.body) == (413, b"no")
        assert pool.idle == 0
        await pool.close()


async def test_closing_ends_requests_in_progress() -> None:
    async with Server([never]) as server:
        pool = Upstream(server.url, connections=1)
        running, waiting = asyncio.ensure_future(pool.request(GET)), asyncio.ensure_future(pool.request(GET))
        await until(lambda: server.requests)
        await pool.close()
        with pytest.raises(UpstreamOutcomeUnknown, match="closed"):
            await running
        with pytest.raises(UpstreamUnavailable, match="closed"):
            await waiting


async def test_tls_is_verified() -> None:
    async with Server([OK] * 2, tls=server_tls()) as server:
        trusting, strict = Upstream(server.url, tls=client_tls()), Upstream(server.url)
        assert (await trusting.request(GET)).body == b"ok"
        with pytest.raises(UpstreamUnavailable):
            await strict.request(GET)
        await trusting.close()
        await strict.close()
