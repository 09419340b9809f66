"""The secret that signs tokens: of a text, of a file, of neither; never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.base.config import load
from proxy.base.errors import ConfigurationError
from proxy.base.token_secret import token_secret


def test_it_is_a_text_or_the_content_of_a_file_without_white_space(tmp_path: Path) -> None:
    file = tmp_path / "keyfile"
    file.write_bytes(b" \xc3\xa9t\xff\n")
    assert token_secret(load()) is None
    assert token_secret(load(jwt_secret="é")) == "é".encode()
    assert token_secret(load(jwt_secret_file=file)) == b"\xc3\xa9t\xff"


@pytest.mark.parametrize("content", [None, b"\n", b"secret"])
def test_a_secret_that_is_not_one_stops_the_start(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "keyfile"
    if content is not None:
        file.write_bytes(content)
    settings = load(jwt_secret="t0ken" if content == b"secret" else "", jwt_secret_file=file)
    with pytest.raises(ConfigurationError, match="CROSSFADE_JWT_SECRET_FILE") as refused:
        token_secret(settings)
    assert "t0ken" not in str(refused.value)
