"""An HTTP proxy of the environment does not get the requests to servers of this machine."""

from __future__ import annotations

import pytest
from requests.utils import should_bypass_proxies

from deploy.demo.loopback import reach_directly


@pytest.mark.parametrize("present", [{}, {"no_proxy": "a.example"}, {"NO_PROXY": "a.example,127.0.0.1"}])
def test_clients_reach_this_machine_directly_and_what_was_excepted_stays(
    present: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {"http_proxy": "http://127.0.0.1:9", **present}
    reach_directly(environment)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    hosts = ["127.0.0.1", "localhost", *(["a.example"] if present else [])]
    assert [host for host in hosts if not should_bypass_proxies(f"http://{host}:1/", None)] == []
    assert not should_bypass_proxies("http://b.example/", None)


def test_it_may_be_called_twice() -> None:
    environment: dict[str, str] = {}
    reach_directly(environment)
    once = dict(environment)
    reach_directly(environment)
    assert environment == once
