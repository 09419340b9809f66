"""Limits that are changed while workers run, and the displayed reason of a pause."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from backfill import cli, run_store
from backfill.copy import copy_chunk
from backfill.governor import Governor, change, setting
from backfill.run_planner import plan_backfill
from backfill.source import ArangoSource
from backfill.throttle import ThrottleLimits
from proxy.state import audit
from tests.ad_hoc import Database
from tests.integration.backfill_fixtures import NAME, claimed, register, work
from tests.integration.stub_origin import StubOrigin
from tests.integration.test_backfill_cli import crossfade

APP = typer.Typer()
cli.register(APP)


async def filled(database: Database, origin: StubOrigin, number: int = 30) -> None:
    await register(database)
    for n in range(number):
        origin.put(NAME, f"{n:04}", f'"n":{n}')


async def run_command(dsn: str, *arguments: str) -> tuple[int, str]:
    """Run a command in its own thread; return its exit code and output."""
    environment = {"CROSSFADE_DSN": dsn}
    result = await asyncio.to_thread(CliRunner().invoke, APP, list(arguments), env=environment)
    return result.exit_code, result.output


async def waiting(database: Database) -> str:
    while (reason := await database.fetchval("SELECT waiting FROM _crossfade.chunk")) is None:
        await asyncio.sleep(0.01)
    return str(reason)


async def set_to(database: Database, limits: ThrottleLimits) -> None:
    await change(database, lambda _: limits, action="throttle", actor="test")


async def test_throttle_pause_and_resume_take_effect_and_are_audited(
    database: Database, dsn: str, origin: StubOrigin, source: ArangoSource
) -> None:
    await filled(database, origin)
    code, out = await run_command(dsn, "backfill", "throttle", "--max-rate", "5", "--max-lag", "3", "--reason", "day")
    assert (code, out) == (0, "max-rate 5.0, max-lag 3.0; 0 workers, mirror lag 0.0 s\n")
    assert (await run_command(dsn, "backfill", "pause"))[0] == 0
    run = await plan_backfill(database, source, NAME)
    working = asyncio.create_task(work(database, source, [run]))
    assert await waiting(database) == "paused: run `crossfade backfill resume` to continue"
    [status] = await run_store.statuses(database, [run])
    assert status.as_json()["throttled"] == ["paused: run `crossfade backfill resume` to continue"]
    _, out, _ = await crossfade(dsn, origin, "backfill", "status")
    assert "waits: paused" in out
    assert "throttle: max-rate 5.0, max-lag 3.0, paused" in out
    code, out = await run_command(dsn, "backfill", "throttle", "--clear", "--json")
    assert json.loads(out)["limits"] == {"paused": True}
    assert not working.done()
    assert (await run_command(dsn, "backfill", "resume"))[0] == 0
    await working
    assert await database.fetchval("SELECT documents FROM _crossfade.chunk") == 30
    actions = [(entry.action, entry.reason) for entry in await audit.entries(database)]
    assert actions == [("resume", None), ("throttle", None), ("pause", None), ("throttle", "day")]
    assert (await audit.verify(database)).broken is None


async def test_a_throttle_file_pauses_the_workers_of_its_machine(
    database: Database, origin: StubOrigin, source: ArangoSource, tmp_path: Path
) -> None:
    await filled(database, origin)
    flag = tmp_path / "hold"
    flag.touch()
    await set_to(database, ThrottleLimits(flag_file=str(flag)))
    claim = await claimed(database, source)
    copying = asyncio.create_task(copy_chunk(database, source, claim, stop=asyncio.Event()))
    assert await waiting(database) == f"the file {flag} exists"
    flag.unlink()
    assert (await copying).documents == 30


async def test_all_workers_share_a_rate_that_may_change(
    database: Database, origin: StubOrigin, source: ArangoSource
) -> None:
    await filled(database, origin)
    await set_to(database, ThrottleLimits(max_rate=1.0))
    claim = await claimed(database, source)
    copying = asyncio.create_task(copy_chunk(database, source, claim, stop=asyncio.Event(), first_page=10))
    assert await waiting(database) == "the rate limit is 1 documents/s"
    assert (await setting(database)).workers == 1
    # the pause for the documents ahead of the old rate is short at the new rate
    await set_to(database, ThrottleLimits(max_rate=100_000.0))
    assert (await copying).documents == 30


async def test_workers_pause_while_the_origin_is_slower_than_usual(
    database: Database, origin: StubOrigin, source: ArangoSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backfill.governor.REFRESH", 0.0)
    await filled(database, origin, 10)
    claim = await claimed(database, source)
    governor = Governor(database, source, ThrottleLimits(max_slowdown=5))
    slow = False

    async def answer_late(kind: str, bind: Mapping[str, Any]) -> bytes | None:
        if kind == "read" and slow:
            await asyncio.sleep(0.2)
        return None

    origin.hook = answer_late
    meter, stop = governor.meter(), asyncio.Event()
    for _ in range(6):
        await governor.pause_if_limited(claim, meter, 1, stop=stop, lease=15, key="0001")
    slow = True
    holding = asyncio.create_task(_until_held(governor, claim, meter, stop))
    assert "its usual time, more than 5" in await waiting(database)
    slow = False
    await holding


async def _until_held(governor: Governor, claim: Any, meter: Any, stop: asyncio.Event) -> None:
    for _ in range(6):
        await governor.pause_if_limited(claim, meter, 1, stop=stop, lease=15, key="0001")


async def test_a_limit_on_replica_lag_is_refused_if_the_lag_is_not_visible(database: Database, dsn: str) -> None:
    original = await setting(database)
    assert original.replica_lag == 0.0  # a superuser can read the lag; no replica exists
    code, out = await run_command(dsn, "backfill", "throttle", "--max-replica-lag", "5", "--json")
    assert (code, json.loads(out)["limits"]) == (0, {"max-replica-lag": 5.0})
    name = dsn.rsplit("/", 1)[1]
    await database.execute(f"CREATE ROLE plain_{name} LOGIN")
    await database.execute(f"GRANT USAGE ON SCHEMA _crossfade TO plain_{name}")
    await database.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA _crossfade TO plain_{name}")
    other = dsn.replace("//crossfade@", f"//plain_{name}@")
    assert other != dsn
    code, out = await run_command(other, "backfill", "throttle", "--max-replica-lag", "5")
    assert (code, "GRANT pg_monitor" in out) == (1, True)


async def test_limits_of_the_command_line_and_of_operators_both_apply(
    database: Database, origin: StubOrigin, source: ArangoSource
) -> None:
    await filled(database, origin)
    await set_to(database, ThrottleLimits(max_lag=60))
    await database.execute(
        "INSERT INTO _crossfade.instance (instance, host, pid, version, backlog, lag_seconds) "
        "VALUES ('i', 'h', 1, 'v', 9, 30)"
    )
    claim = await claimed(database, source)
    governor = Governor(database, source, ThrottleLimits(max_lag=5))
    copying = asyncio.create_task(copy_chunk(database, source, claim, stop=asyncio.Event(), governor=governor))
    assert await waiting(database) == "the mirror is 30.0 s behind, more than 5 s"
    await database.execute("UPDATE _crossfade.instance SET backlog = 0")
    assert (await copying).documents == 30
