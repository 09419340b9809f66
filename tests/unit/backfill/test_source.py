"""Errors of the origin, as Crossfade's exceptions."""

from __future__ import annotations

import pytest

from backfill.source import ArangoSource
from proxy.base.errors import ArangoError, ConfigurationError, CrossfadeError, UpstreamOutcomeUnknown


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (503, b"busy", UpstreamOutcomeUnknown),
        (412, b'{"errorNum":21004,"errorMessage":"queue time"}', UpstreamOutcomeUnknown),
        (401, b"{}", ConfigurationError),
        (403, b'{"errorNum":11}', ConfigurationError),
        (404, b'{"errorNum":1203,"errorMessage":"collection or view not found: carts"}', ArangoError),
        (400, b"nonsense", ArangoError),
    ],
)
async def test_errors_become_crossfade_errors(status: int, body: bytes, kind: type[CrossfadeError]) -> None:
    source = ArangoSource("http://127.0.0.1:1", "root", "")
    assert isinstance(source._error(status, body), kind)
    await source.close()


async def test_an_unreachable_origin_is_an_error_after_the_time_for_retries() -> None:
    source = ArangoSource("http://127.0.0.1:1", "root", "", retry_seconds=0.0)
    with pytest.raises(UpstreamOutcomeUnknown, match="did not answer"):
        await source.count("shop", "carts")
    await source.close()
