"""The pool against a scripted server that answers, delays and closes at each point."""

from __future__ import annotations

import asyncio

import pytest

from proxy.base.errors import ConfigurationError, UpstreamOutcomeUnknown, UpstreamUnavailable
from proxy.base.free_port import free_port
from proxy.http.server_connection import ServerConnection
from proxy.http.upstream import Upstream
from proxy.model.message import Request
from tests.integration.http_fixtures import OK, Server, until
from tests.integration.upstream_fixtures import GET, never

POST = Request("POST", b"/x", body=b"ab")


async def test_one_connection_serves_many_requests() -> None:
    async with Server([OK] * 3) as server:
        pool = Upstream(server.url)
        for _ in range(3):
            response = await pool.request(POST)
            assert (response.status, response.body, response.reason) == (200, b"ok", b"OK")
        assert (server.accepted, pool.idle, pool.open) == (1, 1, 1)
        assert server.requests[0] == (
            b"POST /x HTTP/1.1\r\nhost: localhost:%d\r\ncontent-length: 2\r\n\r\nab" % server.port
        )
        await pool.close()


async def test_the_connection_used_last_is_used_next() -> None:
    async with Server([OK] * 9) as server:
        pool = Upstream(server.url)
        await asyncio.gather(pool.request(GET), pool.request(GET))
        assert pool.idle == 2
        for _ in range(3):
            await pool.request(GET)
        assert server.accepted == 2
        await pool.close()


async def test_a_path_in_the_url_comes_first_and_the_host_can_be_the_clients() -> None:
    async with Server([OK] * 2) as server:
        pool = Upstream(server.url + "/base/", preserve_host=True)
        await pool.request(Request("GET", b"/x", [(b"Host", b"client")]))
        assert server.requests[0].startswith(b"GET /base/x HTTP/1.1\r\nHost: client\r\n\r\n")
        await pool.close()


@pytest.mark.parametrize("url", ["ftp://a", "nonsense", "http://"])
def test_an_invalid_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError):
        Upstream(url)


async def test_requests_beyond_the_limit_wait_for_their_turn() -> None:
    async with Server([OK] * 9) as server:
        pool = Upstream(server.url, connections=2)
        answers = await asyncio.gather(*(pool.request(GET) for _ in range(9)))
        assert len(answers) == 9
        assert server.accepted == 2
        await pool.close()


async def test_a_request_that_times_out_in_the_queue_is_not_sent() -> None:
    async with Server([never]) as server:
        pool = Upstream(server.url, connections=1, queue_timeout=0.05)
        first = asyncio.ensure_future(pool.request(POST))
        await until(lambda: server.requests)
        with pytest.raises(UpstreamUnavailable, match="busy"):
            await pool.request(POST)
        assert len(server.requests) == 1
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        await pool.close()


async def test_a_cancelled_waiter_passes_its_connection_on() -> None:
    async with Server([never, OK], [OK] * 3) as server:
        pool = Upstream(server.url, connections=1)
        first = asyncio.ensure_future(pool.request(GET))
        await until(lambda: server.requests)
        second, third = asyncio.ensure_future(pool.request(GET)), asyncio.ensure_future(pool.request(GET))
        await asyncio.sleep(0)
        first.cancel()
        second.cancel()
        assert (await third).status == 200
        await asyncio.gather(first, second, return_exceptions=True)
        await pool.close()


async def test_a_waiter_cancelled_as_it_is_served_passes_its_connection_on(monkeypatch: pytest.MonkeyPatch) -> None:
    go = asyncio.Event()

    async def gated(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await go.wait()
        writer.write(OK)

    async with Server([gated, OK, OK]) as server:
        pool = Upstream(server.url, connections=1)
        first = asyncio.ensure_future(pool.request(GET))
        await until(lambda: server.requests)
        second = asyncio.ensure_future(pool.request(GET))
        await asyncio.sleep(0)
        third = asyncio.ensure_future(pool.request(GET))
        await asyncio.sleep(0)
        release = pool._pool.release

        def given(connection: ServerConnection) -> None:
            release(connection)
            second.cancel()  # the connection has just been given to it

        monkeypatch.setattr(pool._pool, "release", given)
        go.set()
        assert (await first).status == 200
        assert (await third).status == 200
        assert second.cancelled()
        assert server.accepted == 1
        await pool.close()


async def test_a_failed_connection_lets_the_next_waiter_try() -> None:
    pool = Upstream(f"http://127.0.0.1:{free_port()}", connections=1)
    answers = await asyncio.gather(*(pool.request(GET) for _ in range(3)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [UpstreamUnavailable] * 3
    await pool.close()


async def test_closing_while_a_connection_is_made_fails_the_request() -> None:
    async with Server([OK]) as server:
        pool = Upstream(server.url)
        task = asyncio.ensure_future(pool.request(GET))
        await asyncio.sleep(0)
        await pool.close()
        with pytest.raises(UpstreamUnavailable, match="closed"):
            await task


async def test_cancelling_while_a_connection_is_made_leaves_no_connection() -> None:
    async with Server(never) as server:
        pool = Upstream(server.url.replace("http:", "https:"), connections=1)
        task = asyncio.ensure_future(pool.request(GET))
        await until(lambda: server.accepted)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert (task.cancelled(), pool.open, pool.idle) == (True, 0, 0)
        await pool.close()


async def test_the_connection_of_a_cancelled_stream_is_not_reused(monkeypatch: pytest.MonkeyPatch) -> None:
    go = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await go.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\nx")
        await reader.read()

    async with Server([slow]) as server:
        pool = Upstream(server.url, buffer_body=1000)
        task = asyncio.ensure_future(pool.request(GET))
        await until(lambda: server.requests)
        [connection] = pool._pool.open
        deliver = connection._deliver

        def cancelled_first() -> None:
            assert connection._future is not None
            connection._future.cancel()  # as the task's cancellation does, just before the answer
            deliver()

        monkeypatch.setattr(connection, "_deliver", cancelled_first)
        go.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: pool.open == 0)
        await pool.close()


async def test_a_request_without_a_server_is_reported_as_not_sent() -> None:
    pool = Upstream(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(UpstreamUnavailable):
        await pool.request(POST)
    assert pool.open == 0
    await pool.close()
    with pytest.raises(UpstreamUnavailable, match="closed"):
        await pool.request(POST)


async def test_a_connection_time_out_is_reported_as_not_sent() -> None:
    async with Server(never) as server:  # never answers the TLS handshake
        pool = Upstream(server.url.replace("http:", "https:"), connect_timeout=0.1)
        with pytest.raises(UpstreamUnavailable, match="within"):
            await pool.request(POST)
        await pool.close()


CUTS = {
    "before any byte": None,
    "in the head": b"HTTP/1.1 200 OK\r\nContent-",
    "in the body": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab",
    "in a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    "before the last chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
    "after an interim answer": b"HTTP/1.1 102 Wait\r\n\r\n",
    "no HTTP at all": b"220 mail.example ESMTP\r\n",
}


@pytest.mark.parametrize("idempotent", [False, True])
@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
async def test_a_new_connection_that_is_cut_is_never_retried(cut: bytes | None, idempotent: bool) -> None:
    async with Server([cut], [OK]) as server:
        pool = Upstream(server.url)
        with pytest.raises(UpstreamOutcomeUnknown):
            await pool.request(POST, idempotent=idempotent)
        assert len(server.requests) == 1
        await until(lambda: pool.open == 0)
        await pool.close()


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
async def test_a_reused_connection_that_is_cut_has_an_unknown_outcome(cut: bytes | None) -> None:
    async with Server([OK, cut], [OK]) as server:
        pool = Upstream(server.url)
        await pool.request(POST)
        with pytest.raises(UpstreamOutcomeUnknown):
            await pool.request(POST)
        assert len(server.requests) == 2
        await pool.close()


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
async def test_only_safe_requests_are_retried_after_silence_on_a_reused_connection(cut: bytes | None) -> None:
    async with Server([OK, cut], [OK]) as server:
        pool = Upstream(server.url)
        await pool.request(GET)
        if cut is None:
            assert (await pool.request(GET, idempotent=True)).status == 200
            assert (server.accepted, len(server.requests)) == (2, 3)
        else:
            with pytest.raises(UpstreamOutcomeUnknown):
                await pool.request(GET, idempotent=True)
            assert len(server.requests) == 2
        await pool.close()


async def test_an_idle_connection_that_the_server_closes_leaves_the_pool() -> None:
    async with Server([OK], [OK]) as server:
        pool = Upstream(server.url)
        await pool.request(POST)
        await until(lambda: pool.open == 0)
        assert pool.idle == 0
        assert (await pool.request(POST)).status == 200
        await pool.close()


async def test_an_idle_connection_expires() -> None:
    async with Server([OK] * 2) as server:
        pool = Upstream(server.url, idle_timeout=0.05)
        await pool.request(POST)
        await until(lambda: pool.open == 0)
        await pool.close()


async def test_unsolicited_bytes_are_not_taken_for_an_answer() -> None:
    async def chatty(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK)
        await writer.drain()
        await until(lambda: pool.idle == 1)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen")
        await reader.read()

    async with Server([chatty], [OK]) as server:
        pool = Upstream(server.url)
        await pool.request(POST)
        await until(lambda: pool.open == 0)
        assert (await pool.request(POST)).body == b"ok"
        await pool.close()


async def test_an_answer_and_a_second_one_close_the_connection() -> None:
    async with Server([OK + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen"], [OK]) as server:
        pool = Upstream(server.url)
        assert (await pool.request(POST)).body == b"ok"
        assert pool.idle == 0
        assert (await pool.request(POST)).body == b"ok"
        await pool.close()


async def test_an_answer_time_out_has_an_unknown_outcome() -> None:
    async with Server([never]) as server:
        pool = Upstream(server.url, request_timeout=0.1)
        with pytest.raises(UpstreamOutcomeUnknown, match="within"):
            await pool.request(GET, idempotent=True)
        assert len(server.requests) == 1
        await pool.close()


async def test_a_cancelled_request_closes_its_connection() -> None:
    started = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await started.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret")

    async with Server([slow], [OK]) as server:
        pool = Upstream(server.url)
        task = asyncio.ensure_future(pool.request(GET))
        await until(lambda: server.requests)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        started.set()
        assert (await pool.request(GET)).body == b"ok"
        assert server.accepted == 2
        await pool.close()


async def test_an_answer_without_length_ends_with_the_connection() -> None:
    async with Server([b"HTTP/1.1 200 OK\r\n\r\nall of it"]) as server:
        pool = Upstream(server.url)
        assert (await pool.request(GET)).body == b"all of it"
        assert pool.open == 0
        await pool.close()


async def test_an_answer_to_head_keeps_its_length_and_the_connection() -> None:
    async with Server([b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", OK]) as server:
        pool = Upstream(server.url)
        response = await pool.request(Request("HEAD", b"/x"))
        assert response.header(b"content-length") == b"7"
        assert (await pool.request(GET)).body == b"ok"
        assert server.accepted == 1
        await pool.close()
