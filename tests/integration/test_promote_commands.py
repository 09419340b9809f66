"""`crossfade promote`, `demote` and `status` against live instances and a development ArangoDB."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import proxy.cli.promote
from proxy.control.gates.gate_types import Gate, GateVerdict
from tests.ad_hoc import Database
from tests.integration.cli_fixtures import Shell, quiet_instances
from tests.integration.control_fixtures import Application
from tests.integration.promotion_fixtures import A, B, Promotions, promotions

__all__ = ["quiet_instances"]  # a fixture that every test here uses

PASSED = Gate("rehearsed", GateVerdict.PASSED, "all", "all")
FAILED = Gate("rehearsed", GateVerdict.FAILED, "1 of 2", "all", "rehearse it", protects_writes=True)


@pytest.fixture
async def stack(database: Database, tmp_path: Path) -> AsyncIterator[Promotions]:
    async with promotions(database, tmp_path) as made:
        yield made


@pytest.fixture
def shell(dsn: str, stack: Promotions, tmp_path: Path) -> Shell:
    return Shell(
        {
            "CROSSFADE_DSN": dsn,
            "CROSSFADE_ORIGIN": stack.origin.url,
            "CROSSFADE_STATE_DIR": str(tmp_path / "command"),
            "CROSSFADE_LOST_REQUEST_TIMEOUT": "0.3",
            "COLUMNS": "220",
        }
    )


def judged(monkeypatch: pytest.MonkeyPatch, gate: Gate) -> None:
    async def judge(*arguments: Any) -> dict[str, tuple[Gate, ...]]:
        return dict.fromkeys(arguments[-1], (gate,))

    monkeypatch.setattr(proxy.cli.promote, "judge_promotion", judge)


async def test_a_group_is_promoted_shown_and_demoted(
    stack: Promotions, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stack.start("one", admin=True)
    judged(monkeypatch, PASSED)
    tried = await shell("promote", "a", "b", "--dry-run")
    assert tried.code == 0, tried.err
    assert "nothing was changed; the change takes the phases hold" in tried.out
    assert "next: crossfade promote _system/a _system/b" in tried.out
    done = await shell("promote", "a", "b", "--reason", "a test")
    assert done.code == 0, done.err
    assert f"{A}: flipped 100 % -> promoted" in done.out
    assert f"crossfade demote {A} {B}` undoes it" in done.out
    assert "hold: acknowledged by every proxy" in done.err
    again = await shell("promote", "a", "--json")
    assert (again.code, again.json["transitions"]) == (0, [])
    await stack.database.execute("INSERT INTO _crossfade.outbox (collection, key) VALUES ($1, '1')", A)
    shown = await shell("status")
    assert f"PostgreSQL takes the writes of {A}, {B}" in shown.out
    assert "ArangoDB lacks 1 of their writes" in shown.out
    listed = {one["collection"]: one for one in (await shell("status", "--json")).json["collections"]}
    assert (listed[A]["writer"], listed[A]["lacking"], listed[A]["state"]["stage"]) == ("target", 1, "promoted")
    back = await shell("demote", "a", "b", "--dry-run")
    assert "ArangoDB lacks 1 writes" in back.err
    refused = await shell("rollback", "a")
    assert refused.code == 1
    assert "`crossfade demote` comes first" in refused.err
    late = await shell("demote", "a", "--timeout", "0.5")
    assert late.code == 3, late.err
    await stack.database.execute("DELETE FROM _crossfade.outbox")
    gone = await shell("demote", "a", "b", "--json")
    assert gone.code == 0, gone.err
    assert gone.json["next"] == f"crossfade status; `crossfade promote {A} {B}` undoes it"
    assert await stack.stands() == {A: ("flipped", "origin"), B: ("flipped", "origin")}


async def test_what_forbids_a_promotion_is_named_with_what_to_do(
    stack: Promotions, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stack.start("one", Application(under_way=1))
    judged(monkeypatch, FAILED)
    refused = await shell("promote", "a")
    assert refused.code == 1
    assert "Promotion blocked by 1 gate" in refused.err
    assert "rehearsed is fail (1 of 2): rehearse it" in refused.err
    tried = await shell("promote", "a", "--dry-run", "--json")
    assert (tried.code, tried.json["would_be_refused"]) == (1, True)
    assert tried.json["next"].endswith(f"crossfade promote {A} --dry-run")
    judged(monkeypatch, PASSED)
    late = await shell("promote", "a", "--timeout", "0.5", "--json")
    assert late.code == 3
    assert "one has not met the phase's conditions" in late.json["error"]["message"]
    await stack.database.execute("UPDATE _crossfade.collection SET weight = 10")
    few = await shell("promote", "a")
    assert f"crossfade flip {A} --percent 100" in few.err
    unknown = await shell("demote", "orders")
    assert unknown.code == 1
    assert "not known" in unknown.err
