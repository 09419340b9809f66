"""The backfill commands as processes: output, exit codes, signals."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from proxy.base.free_port import free_port
from tests.ad_hoc import Database
from tests.integration.backfill_fixtures import NAME, register, stored
from tests.integration.stub_origin import StubOrigin, answer

SCRIPT = "import typer, backfill.cli; app = typer.Typer(); backfill.cli.register(app); app()"


@pytest.fixture
async def origin() -> AsyncIterator[StubOrigin]:
    async with StubOrigin() as stub:
        yield stub


async def start(dsn: str, origin: StubOrigin, *arguments: str) -> asyncio.subprocess.Process:
    environment = {**os.environ, "CROSSFADE_DSN": dsn, "CROSSFADE_ORIGIN": origin.url, "COLUMNS": "200"}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        SCRIPT,
        *arguments,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def crossfade(dsn: str, origin: StubOrigin, *arguments: str) -> tuple[int, str, str]:
    """Run a command; return exit code, standard output, standard error."""
    process = await start(dsn, origin, *arguments)
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_plan_backfill_verify_and_repair_print_their_results(
    database: Database, dsn: str, origin: StubOrigin
) -> None:
    relation = await register(database)
    for number in range(50):
        origin.put(NAME, f"{number:02}")

    code, out, _ = await crossfade(dsn, origin, "backfill", "status")
    assert (code, out) == (0, "no backfill or verification has been run\n")

    code, out, _ = await crossfade(dsn, origin, "backfill", "plan", NAME)
    assert (code, "run 1 open, 0 of about 50 documents" in out) == (0, True)

    code, out, _ = await crossfade(dsn, origin, "backfill", "--database", "shop", "carts")
    assert (code, "backfill shop/carts: run 1 done, 50 documents in" in out) == (0, True)
    assert await stored(database, relation) == origin.collections[NAME].raw

    code, out, _ = await crossfade(dsn, origin, "verify", "shop/*")
    assert (code, "50 keys checked: equal" in out) == (0, True)

    await database.execute(f"DELETE FROM {relation} WHERE key = '07'")
    code, out, _ = await crossfade(dsn, origin, "verify", NAME, "--full")
    assert code == 1
    assert "50 keys checked: 1 missing; 1 still differ" in out
    assert "shop/carts missing: 07" in out

    code, out, _ = await crossfade(dsn, origin, "verify", NAME, "--repair", "--json")
    [shown] = json.loads(out)
    assert (code, shown["state"], shown["result"]["repaired"], shown["result"]["differences"]) == (0, "done", 1, 0)

    code, out, _ = await crossfade(dsn, origin, "backfill", "status", NAME, "--json")
    assert [(shown["kind"], shown["state"]) for shown in json.loads(out)] == [("backfill", "done"), ("verify", "done")]


async def test_refused_commands_exit_1_and_state_what_to_do(database: Database, dsn: str, origin: StubOrigin) -> None:
    for arguments in (["backfill", NAME], ["verify", NAME]):
        code, _, err = await crossfade(dsn, origin, *arguments)
        assert (code, "`crossfade mirror shop/carts` starts mirroring it" in err) == (1, True)
    await register(database)
    code, _, err = await crossfade(dsn, origin, "backfill", NAME)
    assert (code, "ArangoDB has no collection shop/carts" in err) == (1, True)


async def test_a_run_that_fails_exits_1(database: Database, dsn: str, origin: StubOrigin) -> None:
    await register(database)
    for key in ("b", "a"):
        origin.put(NAME, key)
    origin.collections[NAME].keys.reverse()
    code, out, _ = await crossfade(dsn, origin, "backfill", NAME)
    assert (code, "run 1 failed" in out, "not in byte order" in out) == (1, True, True)


async def test_databases_that_are_away_or_not_migrated_exit_2(
    empty_dsn: str, dsn: str, database: Database, origin: StubOrigin
) -> None:
    code, _, err = await crossfade(empty_dsn, origin, "backfill", NAME)
    assert (code, "crossfade migrate" in err) == (2, True)
    code, _, err = await crossfade(f"postgresql://crossfade@127.0.0.1:{free_port()}/x", origin, "verify", NAME)
    assert (code, err.startswith("crossfade: ")) == (2, True)

    await register(database)
    origin.put(NAME, "a")

    async def refuse(kind: str, bind: Mapping[str, Any]) -> bytes | None:
        return answer(401, b'{"errorNum":11,"errorMessage":"not authorized"}')

    origin.hook = refuse
    code, _, err = await crossfade(dsn, origin, "backfill", NAME)
    assert (code, "set CROSSFADE_ORIGIN_USER" in err) == (2, True)


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGTERM, 1), (signal.SIGINT, 130)])
async def test_a_signal_finishes_the_page_and_releases_the_chunk(
    database: Database, dsn: str, origin: StubOrigin, number: signal.Signals, expected: int
) -> None:
    relation = await register(database)
    for key in range(400):
        origin.put(NAME, f"{key:03}")
    process = await start(dsn, origin, "backfill", NAME, "--workers", "1", "--max-rate", "50")
    while not await database.fetchval("SELECT documents FROM _crossfade.chunk"):
        await asyncio.sleep(0.01)
    process.send_signal(number)
    _, err = await process.communicate()
    assert (process.returncode, b"crossfade backfill run" in err) == (expected, True)
    chunk = await database.fetchrow("SELECT state, worker, position, documents FROM _crossfade.chunk")
    assert chunk is not None
    assert (chunk["state"], chunk["worker"], chunk["documents"]) == (
        "open",
        None,
        len(await stored(database, relation)),
    )

    code, out, _ = await crossfade(dsn, origin, "backfill", "run")
    assert (code, "400 documents" in out) == (0, True)
    assert await stored(database, relation) == origin.collections[NAME].raw


async def test_a_worker_processes_runs_planned_by_others(database: Database, dsn: str, origin: StubOrigin) -> None:
    relation = await register(database)
    origin.put(NAME, "a")
    assert (await crossfade(dsn, origin, "backfill", "plan", NAME, "--json"))[0] == 0
    process = await start(dsn, origin, "backfill", "worker", "--daemon")
    while await database.fetchval("SELECT count(*) FROM _crossfade.run WHERE state = 'done'") == 0:
        await asyncio.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    out, _ = await process.communicate()
    assert (process.returncode, b"2 workers, waiting for work" in out) == (0, True)
    assert list(await stored(database, relation)) == ["a"]
