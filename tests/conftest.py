"""Servers for the tests: one PostgreSQL per test process, a new migrated database per test, dropped after it."""

from __future__ import annotations

import asyncio
import functools
import itertools
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import httpx
import pytest

from deploy.demo.loopback import reach_directly
from deploy.demo.postgres import EmbeddedPostgres
from proxy.operator import migrate
from tests.ad_hoc import Database
from tests.complete_fixtures import expected_failure

# of a PostgreSQL whose data nobody needs after a crash, and whose tables are too small to be vacuumed. Autovacuum would
# start a worker for each database in turn, many times a second if there are hundreds.
QUICK = {
    "autovacuum": "off",
    "checkpoint_timeout": "1h",
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
}
_MEMORY = Path("/dev/shm")
_ROOM = 2 << 30  # bytes that each test process may need of it
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
    """Start a PostgreSQL for this test process on a free port: it ends with the process, without a last checkpoint."""
    folder = Path(tempfile.mkdtemp(prefix="crossfade-pg-", dir=_MEMORY if _memory_has_room() else None))
    server = EmbeddedPostgres(folder=folder, remove=folder, options=QUICK)
    try:
        with server:
            asyncio.run(migrated_template(server.dsn))
            yield server
            server.stop("immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _memory_has_room() -> bool:
    """Return True if a database may be in memory: the 300 files of one cost a disk's file system ten times as much."""
    if not os.access(_MEMORY, os.W_OK | os.X_OK):
        return False
    system = os.statvfs(_MEMORY)
    return system.f_bavail * system.f_frsize >= _ROOM


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
    # less work than the write-ahead log of each page, for so small a template
    await connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
    await connection.close()
    return server.dsn.rsplit("/", 1)[0] + "/" + name


async def fresh(server: EmbeddedPostgres) -> str:
    """Return the DSN of a new database with every migration applied."""
    return await _create(server, "migrated")


async def drop(server: EmbeddedPostgres, dsn: str) -> None:
    """Drop a database of `fresh`, and end the sessions that a test left in it."""
    connection = await asyncpg.connect(server.dsn)
    await connection.execute(f"DROP DATABASE {dsn.rpartition('/')[2]} WITH (FORCE)")
    await connection.close()


@pytest.fixture
async def dsn(postgres_server: EmbeddedPostgres) -> AsyncIterator[str]:
    """Return the DSN of a new migrated database."""
    created = await fresh(postgres_server)
    yield created
    await drop(postgres_server, created)


@pytest.fixture
async def empty_dsn(postgres_server: EmbeddedPostgres) -> AsyncIterator[str]:
    """Return the DSN of a new and empty database."""
    created = await _create(postgres_server, "template0")
    yield created
    await drop(postgres_server, created)


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[Database]:
    """Open a pool on a new migrated database."""
    opened = await Database.open(dsn, size=8)
    yield opened
    await opened.close()
