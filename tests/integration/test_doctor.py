"""`crossfade doctor` on problems between Crossfade and PostgreSQL: poolers, read-only databases."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import asyncpg
import pytest

from proxy.base.free_port import free_port
from proxy.cli.doctor import Check, _postgresql
from proxy.operator import migrate
from tests.ad_hoc import Database
from tests.harness import eventually, read_only

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


async def check_verdicts(dsn: str) -> dict[str, Check]:
    database = await Database.open(dsn, size=2, timeout=5.0)
    try:
        return {check.name: check for check in await _postgresql(database)}
    finally:
        await database.close()


@contextlib.asynccontextmanager
async def pooler(dsn: str, folder: Path, mode: str) -> AsyncIterator[str]:
    """The DSN of a pgbouncer in that mode, in front of a database."""
    assert PGBOUNCER is not None
    at, port, name = urlsplit(dsn), free_port(), dsn.rpartition("/")[2]
    file = folder / "pgbouncer.ini"
    file.write_text(
        f"[databases]\n{name} = host=127.0.0.1 port={at.port} dbname={name} user=crossfade\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = any\npool_mode = {mode}\n"
        "unix_socket_dir =\n"
    )
    for path in (file, *file.parents):
        with contextlib.suppress(OSError):
            path.chmod(path.stat().st_mode | 0o055)
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    process = await asyncio.create_subprocess_exec(
        PGBOUNCER, *user, str(file), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )

    async def up() -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return False
        writer.close()
        return True

    try:
        await eventually(up, "the pooler listens")
        yield f"postgresql://crossfade@127.0.0.1:{port}/{name}"
    finally:
        process.terminate()
        await process.wait()


@pytest.mark.skipif(PGBOUNCER is None, reason="pgbouncer is not installed")
@pytest.mark.parametrize(("mode", "verdict"), [("session", "ok"), ("transaction", "fail"), ("statement", "fail")])
async def test_a_transaction_pooler_is_detected(dsn: str, tmp_path: Path, mode: str, verdict: str) -> None:
    """Locks, prepared statements and notifications belong to a session: directly, or by a pooler in session mode."""
    async with pooler(dsn, tmp_path, mode) as pooled_dsn:
        found = await check_verdicts(pooled_dsn)
        assert found["PostgreSQL"].verdict == "ok"
        assert found["sessions"].verdict == verdict
        assert ("session mode" in found["sessions"].remedy) == (verdict == "fail")


async def test_a_read_only_database_is_reported(dsn: str) -> None:
    assert (await check_verdicts(dsn))["sessions"].verdict == "ok"
    await read_only(dsn, on=True)
    found = (await check_verdicts(dsn))["sessions"]
    assert (found.verdict, found.found) == ("fail", "PostgreSQL takes no writes")


async def test_the_rights_of_the_role_are_checked_and_those_documented_suffice(dsn: str) -> None:
    at, database = urlsplit(dsn), dsn.rpartition("/")[2]
    role = f"role of {database}"
    owner = await asyncpg.connect(dsn)
    try:
        await owner.execute(f'CREATE ROLE "{role}" LOGIN')
        as_role = f"postgresql://{quote(role)}@{at.hostname}:{at.port}/{database}"
        found = await check_verdicts(as_role)
        assert found["rights"].verdict == "fail"
        assert f'GRANT CREATE ON DATABASE {database} TO "{role}"' in found["rights"].remedy
        assert "as the role that ran `crossfade migrate`" in found["schema"].remedy
        await owner.execute("DROP SCHEMA _crossfade CASCADE")
        await owner.execute(f'GRANT CREATE ON DATABASE {database} TO "{role}"')
        await owner.execute(f"REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC")
        own = await Database.open(as_role, size=2, timeout=30.0)
        await migrate.apply(own)
        await own.close()
        assert {check.verdict for check in (await check_verdicts(as_role)).values()} <= {"ok", "warn"}
    finally:
        await owner.execute(f'DROP OWNED BY "{role}" CASCADE; DROP ROLE "{role}"')
        await owner.close()


async def test_a_responding_postgresql_is_not_reported_as_away(dsn: str) -> None:
    found = (await check_verdicts(f"{dsn}_that_is_not_there"))["PostgreSQL"]
    assert found.found.startswith("answers, and refuses: ")
    assert "it has no database of the name" in found.found
