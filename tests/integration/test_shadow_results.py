"""What the shadow keeps and counts: samples, explanations, skipped and failed comparisons."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import orjson
import pytest

from proxy.base.errors import DatabaseUnavailable
from proxy.base.free_port import free_port
from proxy.model.operations import Operation, Outcome
from proxy.operator import shapes
from proxy.operator.mismatches import list_mismatches, mark_ignored, mark_repaired, show_mismatch
from proxy.shadow.comparator import Shadow
from proxy.shadow.result_store import ResultStore
from proxy.stores.postgres import PostgresStore
from tests.ad_hoc import Database, Session
from tests.integration.shadow_fixtures import C, Stack, hand_over, stack_on
from tests.integration.target_fixtures import put


@pytest.fixture
async def stack(database: Database) -> AsyncIterator[Stack]:
    created = await stack_on(database)
    await created.shadow.start()
    yield created
    await created.close()


# ---- what is kept


async def test_a_mismatch_is_kept_with_samples_and_an_explanation(stack: Stack) -> None:
    await stack.insert_both("a", name="Zoë \u0000", x=1)
    await stack.insert_both("b", name="Ann", x=1)
    for key in "ab":
        await stack.change_target(key, lambda raw: raw.replace(b'"x":1', b'"x":2'))
    for _ in range(4):
        await stack.read("a")
        await stack.read("b")

    (row,) = await list_mismatches(stack.database, C)
    shown = await show_mismatch(stack.database, row.id)

    assert shown is not None
    assert (shown.seen, shown.keys, shown.state, len(shown.samples)) == (8, ("a", "b"), "open", 5)
    first, second = shown.samples[:2]
    assert first["request"] == {"method": "GET", "target": "/_db/db/_api/document/docs/a"}
    assert orjson.loads(first["origin"]) == orjson.loads(stack.ask("GET", "/_api/document/docs/a")[1].body)
    assert first["origin_rev"] == first["target_rev"] != second["origin_rev"]
    assert first["route"] == "/api/x"
    assert "root['x'] changed from 1 to 2" in first["explanation"]
    assert second["explanation"] is None
    assert await show_mismatch(stack.database, 0) is None


async def test_redacted_samples_hold_no_values(database: Database) -> None:
    stack = await stack_on(database, redact=True)
    await stack.shadow.start()
    await stack.insert_both("a", name="secret", x=[1, True, None], y={"z": "secret"})
    await stack.change_target("a", lambda raw: raw.replace(b'"secret"}', b'"hidden"}'))
    await stack.read()
    await stack.query("FOR d IN docs FILTER d.name == 'secret' AND d.x != @hidden RETURN d.y", {"hidden": "hidden"})
    stored = "".join(
        row[0]
        for row in await database.fetch(
            "SELECT samples::text FROM _crossfade.mismatch UNION SELECT text FROM _crossfade.shape"
        )
    )

    (value, query_value) = await list_mismatches(database)

    assert {value.paths, query_value.paths} == {("y.z",), ("[].z",)}
    assert "secret" not in stored
    assert "hidden" not in stored.replace("@hidden", "").replace('"hidden"', "", 1)
    await stack.close()


async def test_repaired_and_ignored_mismatches_are_not_counted(stack: Stack) -> None:
    await stack.insert_both("a", x=1, y=1)
    await stack.change_target("a", lambda raw: raw.replace(b'"x":1', b'"x":2'))
    await stack.read()
    (row,) = await list_mismatches(stack.database)

    assert await mark_repaired(stack.database, ids=[row.id]) == [C]
    assert await stack.counts() == {}
    assert await list_mismatches(stack.database) == []

    await stack.read()
    (reopened,) = await list_mismatches(stack.database)
    assert (reopened.id, reopened.state, reopened.seen) == (row.id, "open", 2)
    assert await stack.counts() == {"compared": 1, "mismatched": 1}

    assert await mark_ignored(stack.database, collection=C) == [C]
    await stack.read()
    assert await stack.counts() == {}
    assert [(row.state, row.seen) for row in await list_mismatches(stack.database, state=None)] == [("ignored", 3)]
    assert await mark_repaired(stack.database) == []


# ---- bounds


async def test_reads_that_are_not_sampled_are_counted(database: Database) -> None:
    stack = await stack_on(database, sample_percent=25)
    random_values = iter([0.1, 0.3, 0.9, 0.2])
    stack.shadow = Shadow(
        stack.settings, stack.store, stack.origin, stack.caught_up, stack.ledger, chance=lambda: next(random_values)
    )
    await stack.shadow.start()
    for _ in range(4):
        await stack.read()

    (row,) = await shapes.listed(database, None)
    assert (row.seen, row.matched, row.skipped) == (4, 2, 2)
    await stack.close()


async def test_reads_that_find_the_queue_full_are_counted(database: Database) -> None:
    """I2: the queue is bounded, and nothing waits for it."""
    stack = await stack_on(database, shadow_queue=2)
    operation, outcome = stack.ask("GET", "/_api/document/docs/a")
    huge = Outcome(200, b"x" * (25 << 20))

    for _ in range(3):
        hand_over(stack.shadow, operation, outcome)
    hand_over(stack.shadow, operation, huge)
    stack.shadow.skip(operation, (C,), "too large")
    await stack.close()

    (row,) = await shapes.listed(database, None)
    assert (row.seen, row.compared, row.skipped) == (5, 0, 5)


NESTED_QUERY = "FOR k IN (FOR d IN docs FILTER d.of == 'ties' SORT d.n DESC LIMIT 1 RETURN d._key) RETURN k"


async def test_equal_sort_keys_inside_a_query_are_not_a_mismatch(database: Database) -> None:
    """I8: each side may choose other documents with equal keys for the LIMIT."""
    stack = await stack_on(database)
    await stack.shadow.start()
    raws = [stack.insert(f"t{number}", of="ties", n=7) for number in range(3)]
    for raw in reversed(raws):  # so that a scan meets them in another order
        await put(database, C, raw)
    operation, origin = stack.ask("POST", "/_api/cursor", {"query": NESTED_QUERY})
    assert (await stack.store.query(operation)).rows != orjson.loads(origin.body)["result"]

    await stack.query(NESTED_QUERY)
    assert stack.shadow.skips(C) == {"equal sort keys inside": 1}
    assert await stack.mismatches() == []

    # the same query, where no keys are equal: a difference is one
    await stack.insert_both("t3", of="ties", n=8)
    await stack.query(NESTED_QUERY)
    assert await stack.counts() == {"compared": 1, "matched": 1}
    await stack.change_target("t3", lambda raw: raw.replace(b'"n":8', b'"n":6'))
    await stack.query(NESTED_QUERY)
    assert len(await stack.mismatches()) == 0  # in PostgreSQL the others are equal now
    await stack.change_target("t0", lambda raw: raw.replace(b'"n":7', b'"n":9'))
    await stack.query(NESTED_QUERY)
    assert len(await stack.mismatches()) == 1
    await stack.close()


class FailingReads(PostgresStore):
    """Raises an unexpected exception at the `times` first reads."""

    times = 0

    async def execute(self, operation: Operation) -> Outcome:
        if self.times:
            self.times -= 1
            raise ZeroDivisionError
        return await super().execute(operation)


async def test_an_unexpected_exception_skips_one_comparison(database: Database) -> None:
    """I10: it is counted, and the worker continues."""
    stack = await stack_on(database, shadow_concurrency=1)
    store = FailingReads(database)
    store.times = 1
    stack.shadow = Shadow(stack.settings, store, stack.origin, stack.caught_up, stack.ledger)
    await stack.shadow.start()

    await stack.read()
    await stack.read()

    assert stack.shadow.skips(C) == {"failed": 1}
    assert await stack.counts() == {"compared": 1, "matched": 1}
    await stack.close()
    await store.close()


async def test_an_unreachable_target_is_not_a_mismatch(database: Database) -> None:
    stack = await stack_on(database)
    unreachable = await Database.open(f"postgresql://127.0.0.1:{free_port()}/none", connect_timeout=0.5)
    stack.shadow = Shadow(stack.settings, PostgresStore(unreachable), stack.origin, stack.caught_up, stack.ledger)
    await stack.shadow.start()

    await stack.read()

    assert await stack.counts() == {}
    assert await stack.skipped() == 1
    await stack.close()
    await unreachable.close()


async def test_unparsable_answers_are_skipped(stack: Stack) -> None:
    operation, _ = stack.ask("GET", "/_api/document/docs/a")
    await stack.insert_both("a")

    for status, body in ((200, b"<html>"), (503, b"{}"), (403, b'{"errorNum":11}')):
        hand_over(stack.shadow, operation, Outcome(status, body))
    await stack.shadow.idle()

    assert await stack.counts() == {}
    assert await stack.skipped() == 3


async def test_closing_counts_comparisons_in_progress(database: Database) -> None:
    stack = await stack_on(database)
    await stack.shadow.start()
    await stack.insert_both("a", x=1)
    stack.insert("a", x=2)
    started = asyncio.Event()

    async def wait_forever(_collection: str, _timeout: float) -> bool:
        started.set()
        await asyncio.Event().wait()
        return True

    stack.shadow._rechecker._caught_up = wait_forever
    operation, outcome = stack.ask("GET", "/_api/document/docs/a")
    hand_over(stack.shadow, operation, outcome)
    await started.wait()
    await stack.close()

    assert await stack.skipped() == 1
    assert await stack.counts() == {}


# ---- the result store and PostgreSQL


class LosesCommitAnswers(Database):
    """A real pool whose next transactions lose their answer before or after the commit, as `fates` lists."""

    outcomes: list[str]

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Session]:
        outcome = self.outcomes.pop(0) if self.outcomes else ""
        if outcome == "unreachable":
            raise DatabaseUnavailable("no connection")
        async with super().transaction() as session:
            yield session
            if outcome == "before":
                raise DatabaseUnavailable("connection lost")
        if outcome == "after":
            raise DatabaseUnavailable("connection lost")


async def test_counts_survive_lost_answers(stack: Stack) -> None:
    """Nothing is counted twice, nothing is lost, whatever the transaction came to."""
    losing = LosesCommitAnswers(stack.database._pool, 30.0)
    losing.outcomes = ["unreachable", "before", "after", "after", "before"]
    stack.ledger = ResultStore(losing, stack.settings, interval=3600)
    stack.shadow = Shadow(stack.settings, stack.store, stack.origin, stack.caught_up, stack.ledger)
    await stack.shadow.start()
    await stack.insert_both("a", x=1)
    await stack.insert_both("b", x=1)
    await stack.change_target("b", lambda raw: raw.replace(b'"x":1', b'"x":2'))

    for _ in range(5):
        for key in "ab":
            operation, outcome = stack.ask("GET", f"/_api/document/docs/{key}")
            hand_over(stack.shadow, operation, outcome)
        with pytest.raises(DatabaseUnavailable):
            await stack.shadow.idle()
    await stack.close()

    assert await stack.counts() == {"compared": 10, "matched": 5, "mismatched": 5}
    (row,) = await list_mismatches(stack.database)
    assert row.seen == 5
    assert [row.seen for row in await shapes.listed(stack.database, None)] == [10]


async def test_mismatches_from_before_a_repair_do_not_count_after_it(stack: Stack) -> None:
    await stack.insert_both("a", x=1)
    await stack.change_target("a", lambda raw: raw.replace(b'"x":1', b'"x":2'))
    now = asyncio.get_running_loop().time()
    ledger = ResultStore(stack.database, stack.settings, clock=lambda: now + 60)
    stack.ledger = ledger
    stack.shadow = Shadow(stack.settings, stack.store, stack.origin, stack.caught_up, ledger)
    await mark_repaired(stack.database, collection=C)
    await stack.shadow.start()

    await stack.read("a")
    await stack.read("none")

    assert await stack.counts() == {}
    assert [row.compared for row in await shapes.listed(stack.database, None)] == [2]
    await stack.close()
