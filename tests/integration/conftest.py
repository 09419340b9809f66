"""Fixtures of the backfill's tests: a scripted origin, and a source that reads it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from backfill.source import ArangoSource
from tests.integration.stub_origin import StubOrigin


@pytest.fixture
async def origin() -> AsyncIterator[StubOrigin]:
    async with StubOrigin() as stub:
        yield stub


@pytest.fixture
async def source(origin: StubOrigin) -> AsyncIterator[ArangoSource]:
    opened = ArangoSource(origin.url, "root", "", threads=4, retry_seconds=5)
    yield opened
    await opened.close()
