"""The servers of all these tests of a process: a development server, and a proxy in front of another."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from deploy.demo.postgres import EmbeddedPostgres
from tests.conftest import _create
from tests.fuzz.servers import FuzzServers, run_servers


@pytest.fixture(scope="package")
def servers(postgres_server: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FuzzServers]:
    with run_servers(asyncio.run(_create(postgres_server, "migrated")), tmp_path_factory.mktemp("fuzz")) as found:
        yield found
