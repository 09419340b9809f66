"""Servers for the tests: one PostgreSQL per test process, a new migrated database per test."""

from __future__ import annotations

import asyncio
import functools
import itertools
import os
from collections.abc import AsyncIterator, Iterator

import asyncpg
import httpx
import pytest

from deploy.demo.loopback import reach_directly
from deploy.demo.postgres import EmbeddedPostgres
from proxy.operator import migrate
from tests.ad_hoc import Database
from tests.complete_fixtures import expected_failure

_numbers = itertools.count(1)
reach_directly(os.environ)  # else an HTTP proxy of the environment gets the requests to the tests' servers


def _quicken(patch: pytest.MonkeyPatch) -> None:
    """Omit work that no test needs, in this process."""
    # the certificates of authorities are loaded once, not for each client: 20 ms or more, also for a URL without TLS
    patch.setattr("httpx._transports.default.create_ssl_context", functools.cache(httpx.create_ssl_context))
    # A proxy prepares workers a second after its start. The first work that needs one prepares them as well.
    patch.setattr("proxy.isolation.pool._WARM", 60.0)


_quicken(pytest.MonkeyPatch())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run long tests first in each worker's part, so that other workers can take over the short rest.

    Mark the tests that PostgreSQL alone does not pass yet.
    """
    for item in items:
        reason = expected_failure(item.nodeid)
        if reason is not None:
            item.add_marker(pytest.mark.xfail(reason=reason, strict=True))
    workers = int(getattr(config, "workerinput", {}).get("workercount", 1))
    long = [item for item in items if item.get_closest_marker("long")]
    others = [item for item in items if not item.get_closest_marker("long")]
    parts = [long[number::workers] for number in range(workers)]
    size = -(-len(items) // workers)
    ordered: list[pytest.Item] = []
    for part in parts:
        ordered += part
        ordered += [others.pop(0) for _ in range(min(len(others), size - len(part)))]
    items[:] = [*ordered, *others]


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[EmbeddedPostgres]:
    """Start a PostgreSQL for this test process on a free port, without fsync: it ends with the process."""
    server = EmbeddedPostgres(options={"fsync": "off", "shared_buffers": "32MB"})
    with server:
        asyncio.run(migrated_template(server.dsn))
        yield server


async def migrated_template(dsn: str) -> None:
    """Create the database that `fresh` copies."""
    connection = await asyncpg.connect(dsn)
    await connection.execute("CREATE DATABASE migrated")
    await connection.close()
    database = await Database.open(dsn.rsplit("/", 1)[0] + "/migrated", size=1)
    await migrate.apply(database)
    await database.close()


async def _create(server: EmbeddedPostgres, template: str) -> str:
    name = f"test_{os.getpid()}_{next(_numbers)}"
    connection = await asyncpg.connect(server.dsn)
    await connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    await connection.close()
    return server.dsn.rsplit("/", 1)[0] + "/" + name


async def fresh(server: EmbeddedPostgres) -> str:
    """Return the DSN of a new database with every migration applied."""
    return await _create(server, "migrated")


@pytest.fixture
async def dsn(postgres_server: EmbeddedPostgres) -> str:
    """Return the DSN of a new migrated database."""
    return await fresh(postgres_server)


@pytest.fixture
async def empty_dsn(postgres_server: EmbeddedPostgres) -> str:
    """Return the DSN of a new and empty database."""
    return await _create(postgres_server, "template0")


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[Database]:
    """Open a pool on a new migrated database."""
    opened = await Database.open(dsn, size=8)
    yield opened
    await opened.close()
