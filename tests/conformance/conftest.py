"""The four servers that the same cases and examples run on, each started once per module."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from deploy.demo.postgres import EmbeddedPostgres
from tests.acceptance.servers import Kind, ServerUnderTest, server_under_test
from tests.conftest import fresh


@pytest.fixture(scope="module", params=list(Kind))
def server(
    request: pytest.FixtureRequest, postgres_server: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerUnderTest]:
    """One of the four."""
    dsn = asyncio.run(fresh(postgres_server))
    with server_under_test(request.param, dsn, tmp_path_factory.mktemp("servers")) as started:
        yield started
