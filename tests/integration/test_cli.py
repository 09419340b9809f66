"""The command line against a real PostgreSQL, with leases as instances: what it prints, and its exit codes."""

from __future__ import annotations

import asyncio
import re

import pytest

from proxy.base.errors import PreconditionFailed
from proxy.model.stages import Phase, Stage
from tests.ad_hoc import Database
from tests.integration.cli_fixtures import ORDERS, Origin, Shell, fleet, origin, quiet_instances, shell
from tests.integration.control_fixtures import Application, Fleet, pass_gates, until

__all__ = ["fleet", "origin", "quiet_instances", "shell"]  # fixtures


async def test_the_operators_walkthrough(shell: Shell, fleet: Fleet, database: Database) -> None:
    await fleet.start("one", admin=True)
    assert "no collection is known yet" in (await shell("status")).out
    shown = await shell("mirror", "orders", "--dry-run")
    assert (shown.code, "nothing was changed; the change takes the phases begin" in shown.out) == (0, True)
    assert "one: ready at http://127.0.0.1:" in shown.out
    assert "reaches both databases, backlog 0" in shown.out
    mirrored = await shell("mirror", "orders", "shop/knows", "--reason", "the move")
    assert mirrored.code == 0, mirrored.err
    assert "shop/orders: off -> mirror" in mirrored.out
    assert await database.fetchval("SELECT edge FROM _crossfade.collection WHERE name = 'knows'")
    assert "Already at mirror" in (await shell("mirror", "orders")).out
    assert (await shell("shadow", "orders")).code == 0
    refused = await shell("flip", "orders")
    assert refused.code == 1
    assert "backfilled is fail (no backfill is done): `crossfade backfill shop/orders`" in refused.err
    judged = await shell("gates", "orders")
    assert (judged.code, "crossfade verify shop/orders" in judged.out) == (1, True)
    dry = await shell("flip", "orders", "--dry-run", "--json")
    assert (dry.code, dry.json["would_be_refused"]) == (1, True)
    await pass_gates(database, ORDERS)
    assert (await shell("gates", "orders")).code == 0
    assert (await shell("gates")).code == 1  # shop/knows is not ready
    flipped = await shell("flip", "orders", "--percent", "10", "--json")
    assert flipped.json["transitions"][0]["after"] == {"stage": "flipped", "weight": 10}
    assert {gate["verdict"] for gate in flipped.json["gates"][ORDERS]} == {"pass"}
    output = (await shell("status")).out
    assert "flipped 10 %" in output
    assert "done (0 differ)" in output
    assert (await shell("flip", "shop/*")).code == 0
    back = await shell("rollback", "orders", "--reason", "enough")
    assert (back.code, "flipped 100 % -> shadow" in back.out) == (0, True)
    took = re.search(r"done in (\d+\.\d+) s; 1/1 proxy on epoch", back.out)
    assert took is not None
    repeated = await shell("rollback", "orders")
    assert (repeated.code, "Already at shadow, or before" in repeated.err) == (0, True)
    assert (await shell("audit", "--verify")).code == 0
    walked = (await shell("audit")).out
    assert "enough" in walked
    assert "shop/orders flipped 100 % -> shadow" in walked
    await database.execute("UPDATE _crossfade.audit SET reason = 'nothing happened' WHERE id = 2")
    tampered = await shell("audit", "--verify")
    assert (tampered.code, "broken at row 2" in tampered.out) == (1, True)
    assert (await shell("audit", "--verify", "--json")).json["broken"] == 2


async def test_a_pattern_changes_a_database_and_its_default_stage(
    shell: Shell, fleet: Fleet, database: Database
) -> None:
    assert (await shell("mirror", "shop/*")).code == 0
    found = (await shell("status", "--json")).json
    assert {one["collection"]: one["state"]["stage"] for one in found["collections"]} == {
        "shop/orders": "mirror",
        "shop/knows": "mirror",
    }
    assert found["defaults"] == {"shop": "mirror"}
    assert (await shell("shadow", "shop/*")).code == 0
    assert (await shell("status", "--json")).json["defaults"] == {"shop": "shadow"}
    none = await shell("flip", "other/*")
    assert (none.code, "no collection of other/* is at stage shadow or flipped" in none.err) == (1, True)
    assert (await shell("rollback", "shop/*", "--to", "off")).code == 0
    assert (await shell("status", "--json")).json["defaults"] == {"shop": "off"}
    assert (await shell("stage", "default", "*", "mirror")).code == 0
    assert "*: mirror" in (await shell("status")).out
    invalid = await shell("rollback", "orders", "--to", "flipped")
    assert (invalid.code, "'flipped' is not one of 'off', 'mirror', 'shadow'" in invalid.err) == (2, True)


async def test_unknown_names_are_refused(shell: Shell) -> None:
    typo = await shell("mirror", "ordres")
    assert (typo.code, "ArangoDB has no collection shop/ordres" in typo.err) == (1, True)
    assert (await shell("mirror", "a/b/c")).code == 1
    assert (await shell("mirror")).code == 2
    assert (await shell("stage", "default", "shop", "nowhere")).code == 2
    assert (await shell("mirror", "orders")).code == 0
    unknown = await shell("gates", "ordres")
    assert (unknown.code, "shop/ordres is not known: did you mean shop/orders?" in unknown.err) == (1, True)


async def test_the_mirror_stage_needs_no_reachable_origin(shell: Shell, origin: Origin) -> None:
    origin.refuse = True
    result = await shell("mirror", "orders")
    assert (result.code, "are not known" in result.err) == (0, True)


async def test_an_unacknowledging_instance_is_named_with_exit_code_3(shell: Shell, fleet: Fleet) -> None:
    await fleet.start("slow", Application(uncaptured=2))
    timed_out = await shell("mirror", "orders", "--timeout", "0.3")
    assert timed_out.code == 3
    assert "slow has not met the phase's conditions" in timed_out.err
    assert "begin: waiting for slow" in timed_out.err
    result = await shell("mirror", "orders", "--timeout", "0.3", "--json")
    assert result.json["error"]["code"] == 3


async def test_rollback_aborts_an_open_epoch(shell: Shell, fleet: Fleet) -> None:
    slow = await fleet.start("slow", Application(uncaptured=2))
    waiting = asyncio.create_task(fleet.to(Stage.MIRROR, ORDERS))  # two shells in one process would share their output
    await until(lambda: slow.lease.snapshot.phase is Phase.BEGIN)
    assert "epoch 1 is open: phase begin" in (await shell("status")).out
    assert (await shell("rollback", "orders")).code == 0
    with pytest.raises(PreconditionFailed, match="aborted by another command"):
        await waiting


async def test_instances_are_listed_and_evicted(shell: Shell, fleet: Fleet, database: Database) -> None:
    assert "no instance is registered" in (await shell("instances")).out
    await shell("mirror", "orders")
    dead = await fleet.start("dead")
    while (await shell("instances", "--json")).json[0]["state"] != "live":  # a lease may run out on a busy machine
        await asyncio.sleep(0.05)
    await fleet.crash(dead)
    while (await shell("instances", "--json")).json[0]["state"] != "silent":
        await asyncio.sleep(0.05)
    assert (await shell("instances", "evict", "dead")).code == 1
    while (evicted := await shell("instances", "evict", "dead", "--confirmed-stopped")).code:
        assert "lives" in evicted.err  # its last heartbeat is not a second old
        await asyncio.sleep(0.05)
    assert (evicted.code, "next: crossfade verify shop/orders" in evicted.out) == (0, True)
    assert "1 unverified" in (await shell("status")).out
    assert (await shell("instances", "evict", "dead", "--confirmed-stopped", "--json")).code == 1
    assert "stopped" in (await shell("instances")).out
    await fleet.start("other")
    await fleet.crash(fleet.instances[0])
    limit = asyncio.get_running_loop().time() + 30
    while (result := await shell("instances", "evict", "other", "--confirmed-stopped", "--json")).code:
        assert asyncio.get_running_loop().time() < limit
        await asyncio.sleep(0.05)
    assert result.json == {"evicted": "other", "unverified": ["shop/orders"]}
