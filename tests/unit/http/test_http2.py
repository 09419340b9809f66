"""HTTP/2 towards clients, on a fake transport, with h2 as the client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from hyperframe.frame import DataFrame, GoAwayFrame, HeadersFrame, PingFrame, RstStreamFrame, SettingsFrame

from proxy.base.errors import ArangoError
from proxy.http.http2_stream import WINDOW
from proxy.http.limits import HttpLimits
from proxy.http.stream import BodyStream
from proxy.model.message import Request, Response
from tests.unit.http.http2_support import Talk2, fields
from tests.unit.http.support import Talk

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


async def echo(request: Request) -> Response:
    body = request.body
    whole = body if isinstance(body, bytes) else b"".join([piece async for piece in body])
    return Response(200, [(b"X-Said", request.method.encode() + b" " + request.target)], whole)


async def test_a_request_and_its_answer_with_names_in_lower_case() -> None:
    seen: list[Request] = []

    async def handler(request: Request) -> Response:
        seen.append(request)
        return Response(201, [(b"Etag", b'"1"'), (b"Connection", b"close"), (b"Content-Length", b"99")], b"hello")

    talk = Talk2(handler)
    answer = await talk.ask(fields("GET", "/_api/version?x=1", ("accept", "*/*"), ("te", "trailers")))
    assert (answer.status, answer.body, answer.ended) == (201, b"hello", True)
    assert answer.headers == {"etag": '"1"', "content-length": "5"}
    (request,) = seen
    assert (request.method, request.target, request.version, request.peer) == (
        "GET",
        b"/_api/version?x=1",
        "2",
        "192.0.2.7",
    )
    assert request.headers == [(b"host", b"a"), (b"accept", b"*/*"), (b"te", b"trailers")]
    await talk.end()


async def test_the_preface_may_come_byte_by_byte_and_http_1_is_not_mistaken_for_it() -> None:
    talk = Talk2(echo)
    talk.begin(fields())
    for byte in talk.client.data_to_send():
        talk.feed(bytes([byte]))
    await talk.say()
    assert talk.answers[1].status == 200
    await talk.end()
    one = Talk2(echo, greet=False)
    for byte in b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx":
        one.feed(bytes([byte]))
    for _ in range(20):
        await asyncio.sleep(0)
    assert bytes(one.transport.out).endswith(b"content-length: 1\r\n\r\nx")
    await one.end()


async def test_a_client_that_opens_and_says_nothing_is_closed_in_time() -> None:
    for said, limits in ((b"", HttpLimits(idle=1)), (b"PRI * HT", HttpLimits(head_time=1))):
        talk = Talk2(echo, limits, greet=False)
        if said:
            talk.feed(said)
        (opening,) = talk.hub.connections
        opening.look(1)
        assert not talk.transport.closing
        opening.look(9)
        assert talk.transport.closing
        await talk.end()
    draining = Talk2(echo, greet=False)
    (opening,) = draining.hub.connections
    opening.drain()
    assert draining.transport.closing
    await draining.end()


async def test_streams_run_at_the_same_time_and_each_gets_its_own_answer() -> None:
    gates = {b"/%d" % number: asyncio.Event() for number in range(20)}

    async def handler(request: Request) -> Response:
        await gates[request.target].wait()
        return Response(200, [], request.target)

    talk = Talk2(handler)
    streams = [talk.begin(fields("GET", f"/{number}")) for number in range(20)]
    await talk.say()
    for number in reversed(range(20)):  # the last first: no answer waits for another
        gates[b"/%d" % number].set()
        await talk.say()
        assert talk.answers[streams[number]].ended
    assert [talk.answers[stream].body for stream in streams] == [b"/%d" % number for number in range(20)]
    await talk.end()


async def test_more_streams_than_are_granted_are_refused_and_those_reset_count_until_their_handlers_end() -> None:
    """Rapid reset: requests that are made and taken back still cost their handlers, which are never cancelled (I3)."""
    go = asyncio.Event()
    begun = ended = 0

    async def handler(request: Request) -> Response:
        nonlocal begun, ended
        begun += 1
        await go.wait()
        ended += 1
        return Response(200, [], b"done")

    talk = Talk2(handler, HttpLimits(streams=3))
    await talk.say()
    assert talk.client.remote_settings.max_concurrent_streams == 3
    for _ in range(3):
        taken_back = talk.begin(fields())
        await talk.say()
        talk.client.reset_stream(taken_back, ErrorCodes.CANCEL)
    await talk.say()
    refused = talk.begin(fields())
    await talk.say()
    assert talk.answers[refused].reset == ErrorCodes.REFUSED_STREAM
    assert begun == 3
    go.set()
    await talk.say()
    assert ended == 3
    assert (await talk.ask(fields())).body == b"done"
    await talk.end()


async def test_streams_that_a_later_frame_of_the_same_read_resets_leave_the_others_alone() -> None:
    """The framing layer has read to the end before the first event is handled."""
    talk = Talk2(echo)
    await talk.say()
    other = talk.begin(fields())
    uploading = talk.begin(fields("POST"), end=False)
    await talk.say()
    talk.client.send_data(uploading, b"x" * 100, end_stream=True)
    streams = [uploading]
    for head in (fields(), fields("POST", "/x", ("expect", "100-continue")), fields("TRACE", "no path")):
        streams.append(talk.begin(head, end=False))
    talk.client.send_data(streams[1], b"x" * 16000)
    for number in streams:
        talk.client.reset_stream(number)
    last = talk.begin(fields("GET", "/last"))
    await talk.say()
    assert [talk.answers[number].status for number in (other, last)] == [200, 200]
    assert not talk.transport.closing
    assert not any(talk.answers[number].status for number in streams)
    await talk.end()


async def test_cookies_come_as_one() -> None:
    async def handler(request: Request) -> Response:
        return Response(200, [], request.header(b"cookie") or b"")

    talk = Talk2(handler, lax=True)
    assert (await talk.ask(fields("GET", "/", ("cookie", "a=1"), ("cookie", "b=2")))).body == b"a=1; b=2"
    await talk.end()


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
    (connection,) = talk.hub.connections
    connection.look(11)
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


@pytest.mark.parametrize(("status", "length"), [(204, None), (304, "7"), (200, "5")])
async def test_answers_without_a_body(status: int, length: str | None) -> None:
    async def handler(request: Request) -> Response:
        headers = [(b"content-length", b"7")] if status != 200 else []
        return Response(status, headers, b"hello" if status == 200 else b"")

    talk = Talk2(handler)
    answer = await talk.ask(fields("HEAD", "/"))
    assert (answer.status, answer.body, answer.headers.get("content-length"), answer.ended) == (
        status,
        b"",
        length,
        True,
    )
    await talk.end()


async def test_what_a_handler_raises_becomes_an_answer() -> None:
    async def handler(request: Request) -> Response:
        if request.target == b"/break":
            return Response(200, [(b"x", b"a\r\nb")], b"")
        if request.target == b"/101":
            return Response(101)
        raise ArangoError(1202)

    talk = Talk2(handler)
    assert b'"errorNum":1202' in (await talk.ask(fields())).body
    assert (await talk.ask(fields("GET", "/break"))).status == 500
    assert (await talk.ask(fields("GET", "/101"))).status == 500
    await talk.end()


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (fields("CONNEC T", "/"), 400),
        (fields("get", "/"), 400),
        (fields("GET", "/a b"), 400),
        (fields("GET", "/a#b"), 400),
        (fields("GET", "x"), 400),
        (fields("GET", "http://b/"), 400),
        (fields("GET", "/\x7f"), 400),
        (fields("GET", "/" + "a" * 20_000), 414),
        (fields("GET", "/", ("expect", "miracles")), 417),
        (fields("GET", "/", ("content-length", "1"), ("content-length", "1")), 400),
        (fields("POST", "/", ("content-length", str(1 << 40))), 413),
        (fields("GET", "/", ("a(", "1")), 400),
        (fields("GET", "/", ("a", "\x01")), 400),
        ([(":method", "GET"), (":scheme", "ftp"), (":authority", "a"), (":path", "/")], 400),
        ([(":method", "GET"), (":scheme", "http"), (":authority", "a b"), (":path", "/")], 400),
        (fields("GET", "/", *((f"h{number}", "") for number in range(2001))), 431),
    ],
)
async def test_a_head_that_cannot_go_on_is_refused_on_its_stream_alone(
    head: list[tuple[str, str]], status: int
) -> None:
    async def handler(request: Request) -> Response:
        assert request.target == b"/next"
        return Response(200, [], b"ok")

    talk = Talk2(handler, lax=True)
    answer = await talk.ask(head)
    assert (answer.status, answer.ended) == (status, True)
    assert b'"error":true' in answer.body
    assert (await talk.ask(fields("GET", "/next"))).body == b"ok"
    await talk.end()


@pytest.mark.parametrize(
    "head",
    [
        fields("GET", "/", ("connection", "close")),
        fields("GET", "/", ("transfer-encoding", "chunked")),
        fields("GET", "/", ("te", "gzip")),
        fields("GET", "/", ("host", "b")),
        fields("GET", "/", ("content-length", "x")),
        fields("GET", "/", ("Upper", "x")),
        fields("GET", "/", ("x", "a\r\nb: c")),
        fields("GET", "/", ("x", "a\x00")),
        fields("CONNECT", "/"),
        [(":method", "GET"), (":path", "/")],
        [*fields(), (":path", "/other")],
    ],
)
async def test_a_malformed_head_ends_the_connection(head: list[tuple[str, str]]) -> None:
    talk = Talk2(echo, lax=True)
    talk.begin(head)
    await talk.say()
    assert talk.goaway is not None
    assert talk.goaway.error_code == ErrorCodes.PROTOCOL_ERROR
    assert talk.transport.closing
    await talk.end()


async def test_a_body_that_breaks_its_content_length() -> None:
    talk = Talk2(echo, lax=True)
    answer = await talk.ask(fields("POST", "/", ("content-length", "3")))
    assert answer.status == 400
    number = talk.begin(fields("POST", "/", ("content-length", "3")), end=False)
    talk.client.send_data(number, b"four", end_stream=True)
    await talk.say()
    assert talk.goaway is not None
    await talk.end()


async def test_a_body_without_a_length_that_grows_too_large_is_413() -> None:
    talk = Talk2(echo, HttpLimits(buffer_body=100, body=1000))
    number = talk.begin(fields("POST", "/"), end=False)
    talk.client.send_data(number, b"x" * 1001)
    await talk.say()
    assert (talk.answers[number].status, talk.answers[number].reset) == (413, ErrorCodes.NO_ERROR)
    assert (await talk.ask(fields("GET", "/"))).status == 200
    await talk.end()


async def test_continue_is_said_when_a_body_is_due_and_trailers_are_nobodys() -> None:
    talk = Talk2(echo)
    number = talk.begin(fields("POST", "/", ("expect", "100-continue")), end=False)
    await talk.say()
    assert talk.answers[number].interim == [100]
    talk.client.send_data(number, b"body")
    talk.client.send_headers(number, [("x-checksum", "1")], end_stream=True)
    await talk.say()
    assert (talk.answers[number].status, talk.answers[number].body) == (200, b"body")
    await talk.end()


async def test_padding_counts_against_the_window_and_is_given_back() -> None:
    talk = Talk2(echo)
    number = talk.begin(fields("POST", "/"), end=False)
    for turn in range(2000):
        if talk.client.local_flow_control_window(number) < 300:
            await talk.say()
        talk.client.send_data(number, b"x", end_stream=turn == 1999, pad_length=255)
    await talk.say()
    assert talk.answers[number].body == b"x" * 2000
    await talk.end()


async def test_an_unread_streamed_body_is_reset_after_the_answer() -> None:
    async def handler(request: Request) -> Response:
        return Response(403, [], b"no")

    talk = Talk2(handler, HttpLimits(buffer_body=10))
    number = talk.begin(fields("PUT", "/", ("content-length", "1000")), end=False)
    await talk.say()
    assert (talk.answers[number].status, talk.answers[number].body, talk.answers[number].reset) == (403, b"no", 0)
    await talk.end()


async def test_a_client_that_leaves_does_not_stop_the_handlers_work() -> None:
    """I3: what the origin took is captured, whoever is left to hear of it."""
    go, ended = asyncio.Event(), asyncio.Event()

    async def handler(request: Request) -> Response:
        await go.wait()
        ended.set()
        return Response(200, [], b"x" * 100_000)

    talk = Talk2(handler)
    number = talk.begin(fields())
    talk.begin(fields())
    await talk.say()
    (connection,) = talk.hub.connections
    talk.client.reset_stream(number)
    await talk.say()
    talk.transport.abort()
    await talk.say()
    assert connection.task is not None
    assert not connection.task.done()
    go.set()
    await talk.say()
    assert ended.is_set()
    assert connection.task.done()
    assert not talk.hub.connections


async def test_a_client_that_leaves_in_the_middle_of_a_body_fails_its_reader() -> None:
    errors: list[Exception] = []

    async def handler(request: Request) -> Response:
        assert isinstance(request.body, BodyStream)
        try:
            async for _ in request.body:
                pass
        except Exception as error:
            errors.append(error)
            raise
        return Response(200)

    for leave in ("reset", "close"):
        talk = Talk2(handler, HttpLimits(buffer_body=10))
        number = talk.begin(fields("PUT", "/", ("content-length", "1000")), end=False)
        await talk.say()
        if leave == "reset":
            talk.client.reset_stream(number)
        else:
            talk.transport.close()
        await talk.say()
        await talk.end()
    assert len(errors) == 2


async def test_a_client_that_sends_no_more_streams_gets_its_answers() -> None:
    """GOAWAY of a client: those under way are answered, then the connection ends."""
    go = asyncio.Event()

    async def handler(request: Request) -> Response:
        await go.wait()
        return Response(200, [], b"late")

    talk = Talk2(handler)
    number = talk.begin(fields())
    await talk.say()
    goaway = b"\x00\x00\x08\x07\x00\x00\x00\x00\x00" + b"\x00" * 8
    refused = talk.begin(fields("GET", "no path"), end=False)  # answered at once, by the read that says goodbye
    talk.feed(talk.client.data_to_send() + goaway)
    go.set()
    await talk.say()
    assert talk.answers[number].body == b"late"
    assert talk.answers[refused].status == 400
    assert talk.transport.closing
    await talk.end()


async def test_draining_says_goaway_answers_what_is_under_way_and_refuses_the_rest() -> None:
    go = asyncio.Event()

    async def handler(request: Request) -> Response:
        await go.wait()
        return Response(200, [], b"done")

    talk = Talk2(handler)
    number = talk.begin(fields())
    await talk.say()
    (connection,) = talk.hub.connections
    talk.hub.draining = True
    connection.drain()
    connection.drain()
    # one that was on its way when GOAWAY was sent: the client may make it again elsewhere
    crossing = talk.begin(fields())
    talk.feed(talk.client.data_to_send())
    goaway = GoAwayFrame(0, last_stream_id=number, error_code=ErrorCodes.NO_ERROR).serialize()
    assert bytes(talk.transport.out).count(goaway) == 1
    assert not talk.transport.closing
    go.set()
    for _ in range(20):
        await asyncio.sleep(0)
    assert b"done" in bytes(talk.transport.out)
    assert RstStreamFrame(crossing, error_code=ErrorCodes.REFUSED_STREAM).serialize() in bytes(talk.transport.out)
    assert talk.transport.closing
    await talk.end()


async def test_time_limits() -> None:
    talk = Talk2(echo, HttpLimits(idle=10, stall=10, linger=4, buffer_body=100))
    await talk.say()
    (connection,) = talk.hub.connections
    gathered = talk.begin(fields("PUT", "/"), end=False)
    streamed = talk.begin(fields("PUT", "/", ("content-length", "1000")), end=False)
    await talk.say()
    connection.look(9)
    await talk.say()
    assert not talk.answers[gathered].status
    connection.look(11)
    await talk.say()
    for number in (gathered, streamed):
        assert talk.answers[number].status == 408
    connection.look(9)
    assert talk.goaway is None
    connection.look(22)
    await talk.say()
    assert talk.goaway is not None
    assert talk.transport.closing
    await talk.end()


async def test_a_client_that_does_not_take_an_answer_is_reset_and_one_that_takes_nothing_is_cut() -> None:
    async def handler(request: Request) -> Response:
        return Response(200, [], b"x" * 200_000)

    talk = Talk2(handler, HttpLimits(stall=10, linger=4))
    talk.acknowledge = False
    number = talk.begin(fields())
    await talk.say()
    (connection,) = talk.hub.connections
    connection.look(11)
    await talk.say()
    assert talk.answers[number].reset == ErrorCodes.CANCEL
    protocol = talk.transport.protocol
    assert protocol is not None
    protocol.pause_writing()
    assert not talk.transport.reading  # answers to pings would pile up
    protocol.resume_writing()
    assert talk.transport.reading
    protocol.pause_writing()
    connection.look(12)
    assert talk.transport.aborted
    await talk.end()


FLOODS = {
    "settings": SettingsFrame(0, settings={4: 65535}).serialize() * 2500,
    "pings": PingFrame(0, b"12345678").serialize() * 2500,
    "empty data": HeadersFrame(1, data=b"\x83\x86\x84\x41\x01a", flags=["END_HEADERS"]).serialize()
    + DataFrame(1, b"").serialize() * 2500,
    "resets": b"".join(
        HeadersFrame(number, data=b"\x82\x86\x84\x41\x01a", flags=["END_HEADERS", "END_STREAM"]).serialize()
        + RstStreamFrame(number, error_code=8).serialize()
        for number in range(1, 1001, 2)
    ),
}


@pytest.mark.parametrize("name", FLOODS)
async def test_floods_are_told_to_calm_down(name: str) -> None:
    talk = Talk2(echo, HttpLimits(streams=10_000))
    talk.feed(talk.client.data_to_send())
    talk.feed(FLOODS[name])
    await talk.say()
    assert talk.goaway is not None
    assert talk.goaway.error_code == ErrorCodes.ENHANCE_YOUR_CALM
    assert talk.transport.closing
    await talk.end()


async def test_a_head_without_an_end_and_one_above_the_limit_end_the_connection() -> None:
    for frames in (
        HeadersFrame(1, data=b"\x82" * 100).serialize() * 2,
        HeadersFrame(1, data=b"\x82" * 16_000).serialize()
        + b"".join(b"\x00\x3e\x80\x09\x00\x00\x00\x00\x01" + b"\x82" * 16_000 for _ in range(80)),
        HeadersFrame(
            1,
            data=b"\x82\x86\x84\x41\x01a" + b"\x40\x01a\x7f\xa1\x01" + b"x" * 288 + b"\xbe" * 2000,
            flags=["END_HEADERS"],
        ).serialize(),
        b"\xff" * (300 << 10),
        b"\x00\x00\x01\x00\x00\x00\x00\x00\x00x",
    ):
        talk = Talk2(echo, HttpLimits(head=10_000))
        await talk.say()
        await talk.say(frames)
        assert talk.transport.closing
        await talk.end()


async def test_a_frame_without_an_end_is_not_waited_for_for_ever() -> None:
    talk = Talk2(echo, HttpLimits(head_time=10, linger=4))
    talk.begin(fields("PUT", "/"), end=False)
    await talk.say()
    (connection,) = talk.hub.connections
    talk.feed(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    connection.look(10)
    assert not talk.transport.closing
    connection.look(11)
    assert talk.transport.closing
    await talk.end()


async def test_a_crowd_is_told_so_in_http_1() -> None:
    talk = Talk2(echo, HttpLimits(connections=0))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert bytes(talk.transport.out).startswith(b"HTTP/1.1 503 ")
    talk.transport.close()
    for _ in range(10):
        await asyncio.sleep(0)


async def test_cancelling_the_task_cuts_the_connection() -> None:
    async def handler(request: Request) -> Response:
        await asyncio.Event().wait()
        raise AssertionError

    talk = Talk2(handler)
    talk.begin(fields())
    await talk.say()
    (connection,) = talk.hub.connections
    assert connection.task is not None
    connection.task.cancel()
    await asyncio.wait([connection.task])
    await talk.say()
    assert talk.transport.aborted
    assert not talk.hub.connections


async def test_an_upgrade_to_h2c_is_declined_and_the_request_answered() -> None:
    """What runs within a tunnel is neither routed nor journaled (I10): HTTP/2 comes with prior knowledge."""
    tunnels: list[object] = []

    async def handler(request: Request) -> Response:
        tunnels.append(request.tunnel)
        return Response(200, [], b"plain")

    talk = Talk(handler)
    out = await talk.say(
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
        b"HTTP2-Settings: AAAA\r\n\r\n"
    )
    assert out.endswith(b"plain")
    assert tunnels == [None]
    await talk.end()
