"""PostgreSQL alone as a server under test, and the tests that it does not pass yet."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

from proxy.app import CompleteApplication
from proxy.base.config import load
from proxy.complete import CompleteStore
from tests.ad_hoc import Database

_REPLICATION: Final = "there is no write-ahead log of ArangoDB's, nor its replication"
_CASE: Final = "tests/conformance/test_cases.py::test_postgresql_alone_passes_the_case"
# by the beginning of a test's id: why the test fails on PostgreSQL alone
EXPECTED_FAILURES: Final[dict[str, str]] = {
    f"{_CASE}[others: a dump in batches]": _REPLICATION,
    f"{_CASE}[others: a snapshot to copy from, and where the log goes on]": _REPLICATION,
    f"{_CASE}[others: the server, its users, its log]": _REPLICATION,
    f"{_CASE}[server: what drivers ask of its administration]": _REPLICATION,
    "tests/conformance/test_surprises.py::test_16_the_log_leaves_out_collections_that_were_dropped_since[complete]": (
        _REPLICATION
    ),
    "tests/acceptance/test_python_arango.py::test_the_write_ahead_log[complete]": _REPLICATION,
}


def expected_failure(test: str) -> str | None:
    """Return why a test fails, by its id; None if it must pass."""
    return next((reason for name, reason in EXPECTED_FAILURES.items() if test.startswith(name)), None)


@contextlib.asynccontextmanager
async def complete_store(dsn: str, **options: Any) -> AsyncIterator[CompleteStore]:
    """Open a store on a migrated database. options: of CompleteStore."""
    database = await Database.open(dsn, size=8)
    store = CompleteStore(database, **options)
    try:
        await store.start()
        yield store
    finally:
        await store.close()
        await database.close()


@contextlib.asynccontextmanager
async def complete_application(
    dsn: str, folder: Path, *, root_password: str | None, secret: bytes | None = None
) -> AsyncIterator[CompleteApplication]:
    """Run a proxy on free ports. root_password: None if requests need not authenticate. secret: signs tokens."""
    settings = load(
        mode="complete",
        dsn=dsn,
        listen_port=0,
        admin_port=0,
        state_dir=folder / "state",
        authentication=root_password is not None,
        root_password=root_password or "",
        jwt_secret=(secret or b"").decode(),
    )
    async with CompleteApplication(settings) as application:
        yield application
