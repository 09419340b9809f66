"""The four servers that every driver is tested on, started once per module; all of them check credentials."""

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
    """One of the four; at the end no comparison of the shadow may have found a difference."""
    dsn = asyncio.run(fresh(postgres_server))
    with server_under_test(request.param, dsn, tmp_path_factory.mktemp("servers"), root_password="") as started:
        yield started
        assert started.findings().get("mismatched", 0) == 0
        assert (started.served() > 0) == started.kind.reads_postgresql
