"""Whatever clients send, over real sockets: an error of ArangoDB's or a clean close.

Never a traceback, a hang, or a neighbour's answer. This is the short form; `make fuzz MINUTES=…` is the long one.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz import check
from tests.fuzz.bytes import Whole, frames, hostile
from tests.fuzz.requests import requests
from tests.fuzz.stand import Stand, answers, mark, talk
from tests.unit.http.test_requests import SMUGGLING

SERVERS = ["development", "proxy"]
few = settings(
    max_examples=35, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.mark.parametrize("server", SERVERS)
@few
@given(sent=st.lists(requests(), min_size=1, max_size=3), chunk=st.sampled_from([0, 0, 5]))
def test_requests_that_mean_anything_are_answered_one_by_one(
    stand: Stand, server: str, sent: list[Whole], chunk: int
) -> None:
    check.whole_requests(stand, stand.ports[server], sent, chunk)


@pytest.mark.parametrize("server", SERVERS)
@few
@given(data=hostile, cuts=st.lists(st.integers(0, 1 << 16), max_size=3), number=st.integers(0, 7))
def test_bytes_of_any_kind_end_in_an_error_or_a_close(
    stand: Stand, server: str, data: bytes, cuts: list[int], number: int
) -> None:
    check.hostile_bytes(stand, stand.ports[server], data, cuts, number)


@pytest.mark.parametrize("server", SERVERS)
@few
@given(data=frames(), cuts=st.lists(st.integers(0, 1 << 16), max_size=3))
def test_http_2_as_nobody_should_speak_it(stand: Stand, server: str, data: bytes, cuts: list[int]) -> None:
    check.http2_frames(stand, stand.ports[server], data, cuts)


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("raw", SMUGGLING.values(), ids=SMUGGLING)
def test_nothing_is_smuggled_through(stand: Stand, server: str, raw: bytes) -> None:
    """What stands behind broken framing is nobody's request: neither the server's, nor the origin's behind a proxy."""
    found = answers(talk(stand.ports[server], mark(3) + raw + b"GET /_api/smuggled HTTP/1.1\r\nHost: a\r\n\r\n"))
    assert b"<<3>>" in found[0].body
    assert not any(b"smuggled" in target for target in stand.seen)
    stand.check()
