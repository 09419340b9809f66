"""Whatever clients send over real sockets, the result is an error of ArangoDB's or a clean close.

Never a traceback, a hang, or another client's answer. This is the short form of `make fuzz MINUTES=…`.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz import check
from tests.fuzz.bytes import Whole, frames, hostile
from tests.fuzz.requests import requests
from tests.fuzz.servers import FuzzServers, answers, mark, talk
from tests.unit.http.test_requests import SMUGGLING

SERVERS = ["development", "proxy"]
few = settings(
    max_examples=35, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.mark.parametrize("server", SERVERS)
@few
@given(sent=st.lists(requests(), min_size=1, max_size=3), chunk=st.sampled_from([0, 0, 5]))
def test_well_framed_requests_are_answered_one_by_one(
    servers: FuzzServers, server: str, sent: list[Whole], chunk: int
) -> None:
    check.whole_requests(servers, servers.ports[server], sent, chunk)


@pytest.mark.parametrize("server", SERVERS)
@few
@given(data=hostile, cuts=st.lists(st.integers(0, 1 << 16), max_size=3), number=st.integers(0, 7))
def test_arbitrary_bytes_end_in_an_error_or_a_close(
    servers: FuzzServers, server: str, data: bytes, cuts: list[int], number: int
) -> None:
    check.hostile_bytes(servers, servers.ports[server], data, cuts, number)


@pytest.mark.parametrize("server", SERVERS)
@few
@given(data=frames(), cuts=st.lists(st.integers(0, 1 << 16), max_size=3))
def test_invalid_http_2_ends_its_connection_and_no_other(
    servers: FuzzServers, server: str, data: bytes, cuts: list[int]
) -> None:
    check.http2_frames(servers, servers.ports[server], data, cuts)


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("raw", SMUGGLING.values(), ids=SMUGGLING)
def test_no_request_is_smuggled_through(servers: FuzzServers, server: str, raw: bytes) -> None:
    """Bytes after broken framing are not a request: neither for the server, nor for the origin of a proxy."""
    found = answers(talk(servers.ports[server], mark(3) + raw + b"GET /_api/smuggled HTTP/1.1\r\nHost: a\r\n\r\n"))
    assert b"<<3>>" in found[0].body
    assert not any(b"smuggled" in target for target in servers.seen)
    servers.check()
