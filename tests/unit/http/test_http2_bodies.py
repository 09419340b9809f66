"""Bodies over HTTP/2: windows, leases of the room, streams that break off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes

from proxy.http.http2_stream import WINDOW
from proxy.http.limits import HttpLimits
from proxy.model.message import Request, Response
from tests.unit.http.http2_fixtures import echo
from tests.unit.http.http2_support import Talk2, fields


@pytest.mark.parametrize("size", [1, WINDOW - 1, WINDOW, 3 * WINDOW + 5, 1 << 20])
@pytest.mark.parametrize("buffer_body", [4 << 20, 1000])
async def test_bodies_of_any_size_come_back_whole(size: int, buffer_body: int) -> None:
    """Put together, put together by a lease, or streamed; the windows open as the body is taken."""
    body = bytes(range(256)) * (size // 256 + 1)
    talk = Talk2(echo, HttpLimits(buffer_body=buffer_body))
    for extra in ((), (("content-length", str(size)),)):
        answer = await talk.ask(fields("PUT", "/", *extra), body[:size])
        assert answer.body == body[:size]
        assert answer.ended
    await talk.end()


async def test_a_body_that_nobody_reads_is_not_taken_beyond_its_window() -> None:
    read = asyncio.Event()

    async def handler(request: Request) -> Response:
        await read.wait()
        return await echo(request)

    size = 4 * WINDOW
    talk = Talk2(handler, HttpLimits(buffer_body=1000))
    number = talk.begin(fields("PUT", "/", ("content-length", str(size))), end=False)
    rest = talk.upload(number, b"x" * size)
    await talk.say()
    rest = talk.upload(number, rest)
    assert len(rest) == size - WINDOW  # neither more memory nor a word about it
    read.set()
    while rest:
        await talk.say()
        rest = talk.upload(number, rest)
    await talk.say()
    assert len(talk.answers[number].body) == size
    await talk.end()


async def test_few_bodies_are_put_together_at_a_time_and_all_come_to_their_end() -> None:
    size = 3 * WINDOW
    talk = Talk2(echo, HttpLimits(held=4 << 20))
    rests = {talk.begin(fields("PUT", "/"), end=False): b"x" * size for _ in range(4)}
    waiting: list[int] = []
    for _ in range(100):
        rests = {number: talk.upload(number, rest) for number, rest in rests.items()}
        rests = {number: rest for number, rest in rests.items() if rest}
        waiting.append(sum(len(rest) > size - 2 * WINDOW for rest in rests.values()))
        await talk.say()
        if not rests:
            break
    assert not rests
    assert waiting[1] >= 3  # one had the lease, the others their first window
    assert all(len(answer.body) == size for answer in talk.answers.values())
    await talk.end()


async def test_bodies_that_declare_little_share_the_room() -> None:
    """And one that waits for room is not blamed for it."""
    size = 2 * WINDOW
    go = asyncio.Event()

    async def handler(request: Request) -> Response:
        await go.wait()
        return await echo(request)

    talk = Talk2(handler, HttpLimits(held=5 * WINDOW, buffer_body=5 * WINDOW, stall=10, linger=4))
    await talk.say()
    head = fields("PUT", "/", ("content-length", str(size)))
    rests = {talk.begin(head, end=False): b"x" * size for _ in range(3)}
    for _ in range(6):
        rests = {number: talk.upload(number, rest) for number, rest in rests.items()}
        await talk.say()
    assert [bool(rest) for rest in rests.values()] == [False, False, True]
    (connection,) = talk.listener.connections
    connection.enforce_timeouts(11)
    await talk.say()
    go.set()
    for _ in range(6):
        rests = {number: talk.upload(number, rest) if rest else b"" for number, rest in rests.items()}
        await talk.say()
    assert [answer.status for answer in talk.answers.values()] == [200] * 3
    await talk.end()


async def test_a_reset_or_lost_body_gives_its_lease_back() -> None:
    talk = Talk2(echo, HttpLimits(held=4 << 20))
    for _ in range(3):
        await talk.say()
        number = talk.begin(fields("PUT", "/"), end=False)
        talk.upload(number, b"x" * WINDOW, end=False)
        await talk.say()
        talk.client.reset_stream(number, ErrorCodes.CANCEL)
        await talk.say()
    assert len((await talk.ask(fields("PUT", "/"), b"y" * 5 * WINDOW)).body) == 5 * WINDOW
    await talk.end()


async def test_an_answer_waits_for_the_clients_windows() -> None:
    talk = Talk2(echo)
    talk.acknowledge = False
    await talk.say()
    number = talk.begin(fields("PUT", "/"), end=False)
    assert not talk.upload(number, b"x" * 100_000)
    await talk.say()
    assert len(talk.answers[number].body) == 65_535  # what HTTP/2 grants unasked
    talk.client.increment_flow_control_window(10, number)
    talk.client.increment_flow_control_window(5)
    await talk.say()
    assert len(talk.answers[number].body) == 65_540  # the narrower of both windows
    talk.client.increment_flow_control_window(1 << 20)
    talk.client.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 1 << 20})
    await talk.say()
    assert talk.answers[number].body == b"x" * 100_000
    await talk.end()


async def test_a_streamed_answer_with_and_without_length_and_one_that_breaks_off() -> None:
    closed: list[bytes] = []

    async def pieces(parts: list[bytes], target: bytes) -> AsyncIterator[bytes]:
        try:
            for part in parts:
                yield part
            if target == b"/fails":
                raise RuntimeError
        finally:
            closed.append(target)

    async def handler(request: Request) -> Response:
        declared = {b"/longer": b"5", b"/shorter": b"3", b"/whole": b"4"}.get(request.target)
        headers = [(b"content-length", declared)] if declared is not None else []
        return Response(200, headers, pieces([b"ab", b"", b"cd"], request.target))

    talk = Talk2(handler)
    whole = await talk.ask(fields("GET", "/whole"))
    assert (whole.body, whole.headers["content-length"], whole.reset) == (b"abcd", "4", None)
    unknown = await talk.ask(fields("GET", "/unknown"))
    assert (unknown.body, "content-length" in unknown.headers, unknown.ended) == (b"abcd", False, True)
    for target in ("/longer", "/fails"):
        broken = await talk.ask(fields("GET", target))
        assert (broken.status, broken.reset, broken.ended) == (200, ErrorCodes.INTERNAL_ERROR, False)
    head = await talk.ask(fields("HEAD", "/whole"))
    assert (head.body, head.headers["content-length"], head.ended) == (b"", "4", True)
    assert len(closed) == 4  # that for HEAD had not begun
    # h2, the client, takes DATA beyond the Content-Length for a broken connection; the server sends none
    shorter = await talk.ask(fields("GET", "/shorter"))
    assert (shorter.body, shorter.reset) == (b"ab", ErrorCodes.INTERNAL_ERROR)
    await talk.end()
