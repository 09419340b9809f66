"""flip and rollback as commands: dry runs, waiting for gates, automatic rollback, several collections, Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.control import rollback_budgets
from proxy.model.stages import Phase, Stage
from tests.ad_hoc import Database
from tests.integration.cli_fixtures import ORDERS, Origin, Shell, origin, quiet_instances, shell
from tests.integration.control_fixtures import Application, Fleet, pass_gates, until

__all__ = ["origin", "quiet_instances", "shell"]  # fixtures

KNOWS = "shop/knows"


@pytest.fixture
async def fleet(database: Database, tmp_path: Path) -> AsyncIterator[Fleet]:
    instances = Fleet(database, tmp_path)
    yield instances
    await instances.close()


async def move_to_shadow(fleet: Fleet, *collections: str, ready: bool = True) -> None:
    await fleet.to(Stage.MIRROR, *collections)
    await fleet.to(Stage.SHADOW, *collections)
    if ready:
        for collection in collections:
            await pass_gates(fleet.database, collection)


async def stages(database: Database) -> dict[str, str]:
    rows = await database.fetch("SELECT collection, stage FROM _crossfade.collection")
    return {row["collection"]: row["stage"] for row in rows}


async def test_a_dry_run_checks_every_instance_directly(shell: Shell, fleet: Fleet, database: Database) -> None:
    one, two = await fleet.start("one", admin=True), await fleet.start("two", admin=True)
    await move_to_shadow(fleet, ORDERS)
    well = await shell("flip", "orders", "--dry-run")
    assert well.code == 0, well.err
    assert (
        len(re.findall(r"^(one|two): ready at http://127.0.0.1:\d+, generation \d+, reaches both", well.out, re.M)) == 2
    )
    two.says["postgresql"] = "connection refused"
    cut = await shell("flip", "orders", "--dry-run")
    assert (cut.code, "it would fail on two: PostgreSQL does not answer it: connection refused" in cut.err) == (1, True)
    two.says = {**one.says, "instance": "another"}
    assert "is another: set its CROSSFADE_ADMIN_ADVERTISE" in (await shell("flip", "orders", "--dry-run")).err
    assert two.admin is not None
    await two.admin.close()
    result = await shell("flip", "orders", "--dry-run", "--json")
    assert (result.code, result.json["would_be_refused"]) == (1, True)
    reached = {each["instance"]: each["trouble"] for each in result.json["reached"]}
    assert not reached["one"]
    assert "does not answer from here" in reached["two"]
    assert (await stages(database))[ORDERS] == "shadow"
    await fleet.start("mute")  # registered by a version that knew no admin address
    assert "mute: it registered no admin address" in (await shell("flip", "orders", "--dry-run")).out


async def test_several_collections_flip_together_or_not_at_all(shell: Shell, fleet: Fleet, database: Database) -> None:
    await fleet.start("one")
    await move_to_shadow(fleet, ORDERS)
    await move_to_shadow(fleet, KNOWS, ready=False)
    refused = await shell("flip", "orders", "knows")
    assert (refused.code, "shop/knows: backfilled is fail" in refused.err) == (1, True)
    assert set((await stages(database)).values()) == {"shadow"}
    await pass_gates(database, KNOWS)
    assert (await shell("flip", "orders", "knows")).code == 0
    assert set((await stages(database)).values()) == {"flipped"}
    assert await database.fetchval("SELECT count(*) FROM _crossfade.epoch WHERE outcome = 'committed'") == 5
    back = await shell("rollback", "orders", "knows", "--json")
    assert (back.code, len(back.json["transitions"]), back.json["behind"]) == (0, 2, [])
    assert back.json["seconds"] > 0


async def test_flip_waits_for_its_gates_and_states_which_are_open(
    shell: Shell, fleet: Fleet, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.cli.flip._POLL", 0.05)
    await fleet.start("one")
    await move_to_shadow(fleet, ORDERS, ready=False)
    timed_out = await shell("flip", "orders", "--wait-for-gates", "--gate-timeout", "1")
    assert (timed_out.code, "Flip blocked by " in timed_out.err) == (1, True)
    assert timed_out.err.count("waiting: shop/orders: backfilled is fail") == 1  # reported once, not at every check
    waiting = asyncio.create_task(shell("flip", "orders", "--wait-for-gates"))
    await pass_gates(database, ORDERS)
    done = await waiting
    assert done.code == 0, done.err
    assert (await stages(database))[ORDERS] == "flipped"


async def test_ctrl_c_leaves_nothing_open(shell: Shell, fleet: Fleet, database: Database) -> None:
    """During an epoch: it is aborted, and nothing has changed."""
    one = await fleet.start("one", Application(backlog=1))
    await move_to_shadow(fleet, ORDERS)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's job in the background begins without it
    flip = await asyncio.create_subprocess_exec(
        *(Path(sys.executable).with_name("crossfade"), "flip", "orders", "--wait-for-gates"),
        env={**os.environ, **shell.environment},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    await until(lambda: one.lease.snapshot.phase is Phase.BEGIN)
    flip.send_signal(signal.SIGINT)
    _, errors = await flip.communicate()
    assert (flip.returncode, b"interrupted: an unfinished change is aborted" in errors) == (130, True), errors
    assert await database.fetchval("SELECT phase FROM _crossfade.control") == "settled"
    assert (await stages(database))[ORDERS] == "shadow"
    aborted = "SELECT reason FROM _crossfade.audit WHERE action = 'abort' ORDER BY id DESC LIMIT 1"
    assert await database.fetchval(aborted) == "its command was interrupted"


async def test_an_automatic_rollback_is_armed_with_the_flip_shown_and_disabled(
    shell: Shell, fleet: Fleet, database: Database, origin: Origin
) -> None:
    await fleet.start("one", admin=True)
    await move_to_shadow(fleet, ORDERS)
    assert "no automatic rollback" in (await shell("auto-rollback")).out
    budget = ("--auto-rollback", "--max-error-percent", "2", "--max-p99-ms", "0", "--max-mismatches", "3")
    flipped = await shell("flip", "orders", *budget)
    assert (flipped.code, "automatic rollback armed: reads return to ArangoDB" in flipped.out) == (0, True)
    for shown in (await shell("auto-rollback"), await shell("status")):
        assert shown.code == 0
        assert "shop/orders has automatic rollback (flipped 100 %), limits: 2 % errors, 3 mismatches;" in shown.out
    detail = (await shell("audit", "--json")).json[0]["detail"]
    assert detail["auto_rollback"] == {"errors_percent": 2.0, "seconds": None, "mismatches": 3}
    assert (await shell("auto-rollback", "disable")).code == 2
    off = await shell("auto-rollback", "disable", "orders", "--reason", "a load test")
    assert (off.code, "automatic rollback disabled: shop/orders" in off.out) == (0, True)
    assert "nothing to disable" in (await shell("auto-rollback", "disable", "orders")).err
    assert "no automatic rollback" in (await shell("auto-rollback")).out
    assert (await shell("status", "--json")).json["auto_rollback"][0]["armed"] is False
    assert (await shell("flip", "orders", "--auto-rollback")).code == 0  # nothing moves; it is armed again
    found = (await rollback_budgets.read(database))[0]
    assert (
        await rollback_budgets.trip(database, found, "it was slow", actor="auto-rollback of instance one") is not None
    )
    result = await shell("auto-rollback")
    assert (result.code, "rolled back by auto-rollback of instance one: it was slow" in result.out) == (1, True)
    assert "it was slow" in (await shell("status")).out
    assert await rollback_budgets.trip(database, found, "again", actor="auto-rollback of instance two") is None
    assert (await shell("auto-rollback", "--json")).json[0]["why"] == "it was slow"
    assert (await shell("rollback", "orders")).code == 0
