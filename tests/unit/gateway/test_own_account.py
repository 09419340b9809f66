"""Requests of clients with Crossfade's own account are counted."""

from __future__ import annotations

import base64

from proxy.gateway import own_account
from proxy.gateway.own_account import OwnAccountWatch


def basic(user: str) -> bytes:
    return b"Basic " + base64.b64encode(f"{user}:x".encode())


def test_only_its_own_account_is_counted() -> None:
    watch = OwnAccountWatch("crossfade")
    for header in (None, b"nonsense", basic("ann"), basic("crossfade"), basic("ann"), basic("crossfade")):
        watch.see(header)
    assert watch.requests == 2
    assert watch.figures()["requests"] == 2


def test_the_headers_that_it_remembers_are_bounded() -> None:
    watch = OwnAccountWatch("crossfade")
    for number in range(own_account._KNOWN + 10):
        watch.see(basic(f"user{number}"))
    watch.see(basic("crossfade"))
    assert len(watch._known) <= own_account._KNOWN
    assert watch.requests == 1
