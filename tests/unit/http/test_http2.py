"""HTTP/2 towards clients, on a fake transport, with h2 as the client."""

from __future__ import annotations

import asyncio

import pytest
from h2.errors import ErrorCodes

from proxy.base.errors import ArangoError
from proxy.http.limits import HttpLimits
from proxy.model.message import Request, Response
from tests.unit.http.http2_fixtures import echo
from tests.unit.http.http2_support import Talk2, fields

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


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
        (opening,) = talk.listener.connections
        opening.enforce_timeouts(1)
        assert not talk.transport.closing
        opening.enforce_timeouts(9)
        assert talk.transport.closing
        await talk.end()
    draining = Talk2(echo, greet=False)
    (opening,) = draining.listener.connections
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
