"""What ends a flip before the answer: a full journal, marks, failovers, opaque writes, searches, repairs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from proxy.base.errors import JournalError, PreconditionFailed
from proxy.control.transitions_plan import DesiredState
from proxy.journal.journal import Journal
from proxy.journal.records import CollectionChange, OpaqueWrite
from proxy.model.stages import CollectionState, Stage
from proxy.replication.failover_detector import FailoverDetector
from proxy.state import missing_writes
from tests.harness import Running, eventually
from tests.integration.refused_rows_fixtures import (
    BOOKS,
    DOCUMENT,
    WRITES,
    dead_letter_keys,
    flip,
    refuse,
    rollback_reason,
    stack,
    stage,
)

__all__ = ["stack"]  # fixtures


# ---- marks


def full(*_: object, **__: object) -> int:
    raise JournalError("the disk is full")


@pytest.mark.parametrize("write", WRITES)
async def test_a_full_journal_rolls_the_flip_back_before_the_answer(
    stack: Running, monkeypatch: pytest.MonkeyPatch, write: str
) -> None:
    """on_journal_error = forward: a write that could not be journaled may be lost by a kill, and is not read again."""
    await flip(stack)
    monkeypatch.setattr(Journal, "intend", full)
    answer = await WRITES[write](stack.client)
    assert answer.status_code < 300, answer.text
    assert (await stack.client.get(DOCUMENT + "/a")).json()["n"] == 666
    assert await stage(stack) == "shadow"
    assert "the journal could not be written" in await rollback_reason(stack)
    monkeypatch.undo()
    await stack.drained()


async def test_documents_that_arangodb_refuses_to_return_cause_a_rollback(
    stack: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write that must be read again and cannot be ends in a mark, and its answer waits for the end of the flip."""
    from proxy.base.errors import ArangoError
    from proxy.stores.arango import ArangoStore

    async def none(self: ArangoStore, database: str, collection: str, keys: Sequence[str]) -> dict[str, bytes | None]:
        raise ArangoError(1203)

    await flip(stack)
    monkeypatch.setattr(ArangoStore, "read", none)
    assert (await WRITES["query"](stack.client)).status_code < 300
    assert (await stack.client.get(DOCUMENT + "/a")).json()["n"] == 666
    assert await stage(stack) == "shadow"
    assert "could not be read" in await rollback_reason(stack)


async def test_a_postgresql_failover_rolls_every_flip_back(stack: Running) -> None:
    """Commits that clients have seen may be lost."""
    await flip(stack)
    timeline = FailoverDetector(stack.database, "one")
    await timeline.step()
    await stack.database.execute("UPDATE _crossfade.timeline SET timeline = timeline + 1")
    assert await timeline.step()
    assert await stage(stack) == "shadow"
    assert "timeline" in await rollback_reason(stack)


async def test_a_mark_between_the_gates_and_the_begin_of_a_flip_forbids_it(
    stack: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    from proxy.control import gate_inputs

    judge = gate_inputs.judge

    async def judged(*arguments: Any) -> Any:
        found = await judge(*arguments)
        await missing_writes.mark(stack.database, [BOOKS], ["in between"], "test")
        return found

    monkeypatch.setattr(gate_inputs, "judge", judged)
    with pytest.raises(PreconditionFailed, match="in between"):
        await stack.move(CollectionState(Stage.FLIPPED, 100), BOOKS)
    assert await stage(stack) == "shadow"


async def test_a_mark_aborts_an_epoch_that_would_flip_its_collection(stack: Running) -> None:
    from proxy.control import controller

    intent = stack.application.mirror.intend(BOOKS, ("x",))  # a backlog: the flip waits in `begin`
    flipping = asyncio.create_task(
        controller.change(
            stack.database,
            [DesiredState(BOOKS, Stage.FLIPPED, 100)],
            settings=stack.settings,
            actor="test",
            reason="test",
            force=True,
            timeout=20,
        )
    )
    await eventually(lambda: stack.application.lease.snapshot.policy(BOOKS).synchronous, "the epoch has begun")
    await missing_writes.mark(stack.database, ["_system/*"], ["a stranger"], "test")
    with pytest.raises(PreconditionFailed):
        await flipping
    stack.application.mirror.close_intent(intent)
    assert await stage(stack) == "shadow"


# ---- every other place that marks (tests/architecture/test_giving_up.py names them)


async def _flipped_while_open(stack: Running) -> None:
    """Flip directly in the table, as if an earlier intent were resolved only after the flip."""
    await stack.database.execute("UPDATE _crossfade.collection SET stage = 'flipped', weight = 100")
    await stack.database.execute("UPDATE _crossfade.control SET generation = generation + 1")
    await eventually(lambda: stack.application.lease.snapshot.policy(BOOKS).synchronous, "it is flipped")


async def test_an_opaque_write_causes_a_rollback(stack: Running) -> None:
    mirror = stack.application.mirror
    intent = mirror.intend_change(OpaqueWrite("somebody else's code", ("_system/*",)))
    await _flipped_while_open(stack)
    mirror.mark(intent)
    assert (await mirror.applied(intent)).value == "given up"
    assert await stage(stack) == "shadow"
    assert "somebody else's code" in await rollback_reason(stack)


async def test_an_opaque_write_of_an_earlier_process_causes_a_rollback(stack: Running) -> None:
    mirror = stack.application.mirror
    intent = mirror.intend_change(OpaqueWrite("cut in the middle", (BOOKS,)))
    await _flipped_while_open(stack)
    mirror.reread(intent)  # as recovery does: the journal alone knows of it
    assert (await mirror.applied(intent)).value == "given up"
    assert await stage(stack) == "shadow"


async def test_a_revision_scan_over_its_limit_causes_a_rollback(
    stack: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    from proxy.replication import revision_scan

    monkeypatch.setattr(revision_scan, "_LIMIT", 1)
    mirror = stack.application.mirror
    intent = mirror.intend(BOOKS, (), revised=True)
    await _flipped_while_open(stack)
    mirror.reread(intent)
    assert (await mirror.applied(intent)).value == "given up"
    assert await stage(stack) == "shadow"


async def test_a_failed_resync_causes_a_rollback(stack: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    from proxy.stores.arango import ArangoStore

    async def mixed(self: ArangoStore, *_: object) -> list[tuple[str, int]]:
        return [("b", 1), ("a", 1)]

    monkeypatch.setattr(ArangoStore, "revisions", mixed)
    mirror = stack.application.mirror
    intent = mirror.intend_change(CollectionChange("truncate", (BOOKS,)))
    await _flipped_while_open(stack)
    mirror.reread(intent)
    assert (await mirror.applied(intent)).value == "given up"
    assert await stage(stack) == "shadow"


async def test_an_answer_that_cannot_be_replicated_causes_a_rollback(
    stack: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    from proxy.base.errors import ArangoError
    from proxy.stores.arango import ArangoStore

    async def none(self: ArangoStore, *_: object) -> dict[str, bytes | None]:
        raise ArangoError(1203)

    await flip(stack)
    monkeypatch.setattr(ArangoStore, "read", none)
    assert (await stack.client.post(DOCUMENT, json={"_key": "a"})).status_code == 409
    assert await stage(stack) == "shadow"


async def test_a_repair_that_postgresql_refuses_causes_a_rollback(stack: Running) -> None:
    """A worker's verification finds a difference, and PostgreSQL does not take what ArangoDB has."""
    from backfill.key_repair import repair_keys
    from proxy.stores.arango import ArangoStore

    await flip(stack)
    await refuse(stack)
    await stack.direct.patch(DOCUMENT + "/a", json={"n": 666})
    source = ArangoStore(stack.application.origin, "root", "")
    result = await repair_keys(stack.database, source, BOOKS, ["a"])
    assert result.dead == {"a"}
    assert (await stage(stack), await dead_letter_keys(stack)) == ("shadow", ["a"])
