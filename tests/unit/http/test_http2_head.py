"""Heads of HTTP/2, pure: what the framing layer lets through and HTTP/1.1 would not survive."""

from __future__ import annotations

import pytest

from proxy.base.errors import FramingError
from proxy.http.http2_head import answer_fields, read_head
from proxy.http.limits import HttpLimits
from proxy.model.message import Response

GET = [(b":method", b"GET"), (b":path", b"/"), (b":scheme", b"http")]


@pytest.mark.parametrize("value", [b"+1", b"1_0", b"-1", b" 1", b"", b"1,1", b"0x1", b"1" * 19, "١".encode()])
def test_a_content_length_is_digits_alone(value: bytes) -> None:
    with pytest.raises(FramingError):
        read_head([*GET, (b"content-length", value)], HttpLimits())


def test_the_authority_becomes_the_host_unless_there_is_one() -> None:
    assert read_head([*GET, (b":authority", b"a:1")], HttpLimits()).headers == [(b"host", b"a:1")]
    both = read_head([*GET, (b":authority", b"a"), (b"x", b"1"), (b"host", b"a")], HttpLimits())
    assert both.headers == [(b"x", b"1"), (b"host", b"a")]


def test_an_empty_body_is_not_waited_for_though_it_is_announced() -> None:
    head = read_head([*GET, (b"expect", b"100-continue"), (b"content-length", b"0")], HttpLimits())
    assert (head.expects, head.length) == (False, 0)


def test_answers_are_in_lower_case_without_framing_and_without_surprises() -> None:
    response = Response(200, [(b"Transfer-Encoding", b"chunked"), (b"X-A", b" b\t"), (b"Content-Length", b"7")])
    assert answer_fields(response, 3) == [(b":status", b"200"), (b"x-a", b"b"), (b"content-length", b"3")]
    assert answer_fields(response, None)[-1] == (b"x-a", b"b")
    for pair in ((b"a b", b"c"), (b"a", b"b\nc"), (b"", b"x"), (b"a", b"\x00")):
        with pytest.raises(FramingError):
            answer_fields(Response(200, [pair]), 0)
