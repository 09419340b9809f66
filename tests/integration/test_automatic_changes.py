"""Automatic changes of stage are shown by `status`, a metric and an alert until an operator acknowledges them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

from proxy.base import metrics
from proxy.control import controller, rollback_budgets
from proxy.control.rollback_budgets import RollbackBudget
from proxy.model.stages import Stage
from proxy.operator.states import States, automatic_rollbacks
from proxy.state import control_row, missing_writes
from tests.ad_hoc import Database
from tests.integration.cli_fixtures import ORDERS, Shell, origin, quiet_instances, shell
from tests.integration.control_fixtures import Fleet, pass_gates
from tests.unit.deploy.alerting import fires

__all__ = ["origin", "quiet_instances", "shell"]  # fixtures

RULES = Path(__file__).parents[2] / "deploy/prometheus/alerts.yml"
JOBS = "shop/jobs"


@pytest.fixture
async def fleet(database: Database, tmp_path: Path) -> AsyncIterator[Fleet]:
    instances = Fleet(database, tmp_path)
    yield instances
    await instances.close()


async def flipped(fleet: Fleet, *collections: str) -> None:
    for stage in (Stage.MIRROR, Stage.SHADOW):
        await fleet.to(stage, *collections)
    for collection in collections:
        await pass_gates(fleet.database, collection)
    await fleet.to(Stage.FLIPPED, *collections)


async def alerts(database: Database) -> list[dict[str, str]]:
    """Return the alerts that Prometheus would raise after one scrape."""
    await States(database).refresh()
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    (rule,) = [one for one in group["rules"] if one["alert"] == "CrossfadeAutomaticRollback"]
    return fires(rule["expr"], metrics.render()[0].decode())


def counted(by: str) -> float:
    (line,) = [
        line
        for line in metrics.render()[0].decode().splitlines()
        if line.startswith(f'crossfade_rollbacks_total{{by="{by}"}}')
    ]
    return float(line.rpartition(" ")[2])


async def test_an_automatic_rollback_is_shown_until_it_is_acknowledged(
    shell: Shell, fleet: Fleet, database: Database
) -> None:
    await fleet.start("one")
    await flipped(fleet, ORDERS)
    async with database.transaction() as session:
        await rollback_budgets.arm(session, [ORDERS], 1, RollbackBudget(), actor="ann")
    assert await alerts(database) == []
    assert [counted(by) for by in ("operator", "auto_rollback", "instance")] == [0, 0, 0]
    assert "Nothing to acknowledge" in (await shell("acknowledge")).out
    (armed,) = await rollback_budgets.read(database)
    assert (
        await rollback_budgets.trip(database, armed, "9 of 10 reads failed", actor="auto-rollback of instance one")
        is not None
    )
    assert await alerts(database) == [{"collection": ORDERS, "by": "auto_rollback"}]
    assert counted("auto_rollback") == 1
    output = (await shell("status")).out
    assert "reads of shop/orders were rolled back to ArangoDB" in output
    assert "by auto-rollback of instance one: shop/orders: 9 of 10 reads failed" in output
    (named,) = (await shell("status", "--json")).json["automatic_rollbacks"]
    assert (named["by"], named["collections"]) == ("auto_rollback", [ORDERS])
    noticed = await shell("acknowledge", "--reason", "it was the load test")
    assert (noticed.code, "acknowledged" in noticed.out) == (0, True)
    assert await alerts(database) == []
    assert "rolled back" not in (await shell("status")).out
    assert counted("auto_rollback") == 1, "an acknowledged rollback still counts"


async def test_a_rollback_by_an_instance_is_shown_until_the_next_flip(fleet: Fleet, database: Database) -> None:
    await fleet.start("one")
    await flipped(fleet, ORDERS, JOBS)
    async with database.transaction() as session:
        await control_row.roll_back_all(session, actor="instance one", reason="its journal was not clean")
    assert await alerts(database) == [
        {"collection": JOBS, "by": "instance"},
        {"collection": ORDERS, "by": "instance"},
    ]
    await pass_gates(database, ORDERS)
    await fleet.to(Stage.FLIPPED, ORDERS)
    assert await alerts(database) == [{"collection": JOBS, "by": "instance"}], "the other one is not acknowledged yet"
    await pass_gates(database, JOBS)
    await fleet.to(Stage.FLIPPED, JOBS)
    assert await alerts(database) == []


async def test_a_rollback_after_a_refused_document_counts_as_automatic(fleet: Fleet, database: Database) -> None:
    """A mark or a dead letter on a flipped collection rolls reads back without an operator."""
    await fleet.start("one")
    await flipped(fleet, ORDERS)
    await missing_writes.mark(database, [ORDERS], ["a write passed unseen"], "one")
    assert await alerts(database) == [{"collection": ORDERS, "by": "instance"}]
    (named,) = await automatic_rollbacks(database)
    assert "a write passed unseen" in (named.reason or "")


async def test_a_rollback_by_an_operator_is_counted_and_not_shown(fleet: Fleet, database: Database) -> None:
    await fleet.start("one")
    await flipped(fleet, ORDERS)
    assert await controller.rollback(database, [ORDERS], actor="ann") is not None
    assert await alerts(database) == []
    assert counted("operator") == 1
    assert await automatic_rollbacks(database) == ()
