"""Who asks: Basic and JWT."""

from __future__ import annotations

import base64

import pytest

from proxy.wire.auth import make_token, user_of


def _basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


def test_basic_names_the_user() -> None:
    assert user_of(_basic("jürgen:p:w")) == "jürgen"


def test_a_token_names_the_user_that_it_was_made_for() -> None:
    token = make_token("ann", b"secret", 1_700_000_000)
    assert token.count(".") == 2
    assert user_of(f"bearer {token}") == "ann"
    assert user_of(f"Bearer {token}") == "ann"


def test_a_superusers_token_has_no_user() -> None:
    payload = base64.urlsafe_b64encode(b'{"server_id":"x"}').rstrip(b"=").decode()
    assert user_of(f"bearer a.{payload}.b") == "root"


@pytest.mark.parametrize(
    "header", [None, "", "Basic", "Basic !", _basic("nocolon"), "bearer x", "bearer a.b.c", "Digest x", "Basic /w=="]
)
def test_what_cannot_be_read_names_nobody(header: str | None) -> None:
    assert user_of(header) is None
