"""Many reads of single documents, compared by one statement: each ends in the verdict that it would get by itself."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from proxy.base.errors import DatabaseUnavailable
from proxy.operator import rules_admin, shapes
from proxy.operator.mismatches import list_mismatches, show_mismatch
from proxy.shadow.counters import MAX_SAMPLES
from proxy.shadow.diff.documents import Difference, Kind
from proxy.shadow.jobs import ReadToCompare
from tests.ad_hoc import Database
from tests.integration.shadow_fixtures import C, Stack, hand_over, shadow_with_rules, stack_on

MANY = 40  # more than one statement reads


@pytest.fixture
async def stack(database: Database) -> AsyncIterator[Stack]:
    created = await stack_on(database)
    created.shadow = shadow_with_rules(created)
    await created.shadow.start()
    yield created
    await created.close()


def changed(raw: bytes) -> bytes:
    return raw.replace(b'"x":1', b'"x":2')


async def read_all(stack: Stack, *keys: str) -> Counter[str]:
    """Read all concurrently; return the number of verdicts of each kind."""
    stack.verdicts.clear()
    for key in keys:
        hand_over(stack.shadow, *stack.ask("GET", f"/_api/document/docs/{key}"))
    await stack.shadow.idle()
    assert all(len(one.origin_seconds) in (0, one.number) for one in stack.verdicts)
    assert all(set(one.origin_seconds) <= {0.001} for one in stack.verdicts)  # as `hand_over` does
    assert all(one.target_seconds > 0 for one in stack.verdicts if one.origin_seconds)
    counted: Counter[str] = Counter()
    for one in stack.verdicts:
        counted[one.kind] += one.number
    return counted


async def test_each_read_of_a_batch_gets_its_own_verdict(stack: Stack) -> None:
    """I8: a lagging document is not a mismatch, even in a batch with many mismatches."""
    for key in ("same", "value", "type", "lags", "gone"):
        await stack.insert_both(key, x=1)
    await stack.change_target("value", changed)
    await stack.change_target("type", lambda raw: raw.replace(b'"x":1', b'"x":"1"'))
    stack.catching_up.append(stack.insert("lags", x=7))
    stack.insert("missing", x=1)
    stack.ask("DELETE", "/_api/document/docs/gone")

    found = await read_all(stack, "same", "value", "type", "lags", "missing", "gone", "never", "value")

    assert found == {"match": 2, "value": 2, "type": 1, "lag": 1, "missing": 1, "extra": 1}
    assert await stack.mismatches() == [
        ("extra", (), ("gone",)),
        ("missing", (), ("missing",)),
        ("type", ("x",), ("type",)),
        ("value", ("x",), ("value",)),
    ]
    assert await stack.counts() == {"compared": 8, "matched": 3, "mismatched": 5, "lagged": 1}
    (row,) = await shapes.listed(stack.database, None)
    assert (row.seen, row.compared, row.matched, row.mismatched) == (8, 8, 3, 5)


async def test_many_mismatches_are_all_counted_with_a_few_samples(stack: Stack) -> None:
    names = [f"k{number:02}" for number in range(MANY)]
    for name in names:
        await stack.insert_both(name, x=1)
        await stack.change_target(name, changed)

    assert await read_all(stack, *names) == {"value": MANY}

    (row,) = await list_mismatches(stack.database, C)
    assert (row.seen, sorted(row.keys)) == (MANY, names)
    shown = await show_mismatch(stack.database, row.id)
    assert shown is not None
    assert len(shown.samples) == MAX_SAMPLES
    assert len({sample["request"]["target"] for sample in shown.samples}) == MAX_SAMPLES
    assert sum(1 for sample in shown.samples if sample["explanation"]) == 1
    assert await stack.counts() == {"compared": MANY, "mismatched": MANY}


async def test_tolerated_differences_in_a_batch_are_not_a_mismatch(stack: Stack) -> None:
    for key in ("noisy", "wrong"):
        await stack.insert_both(key, x=1, at=1)
    await stack.change_target("noisy", lambda raw: raw.replace(b'"at":1', b'"at":2'))
    await stack.change_target("wrong", changed)
    await rules_admin.add(stack.database, rules_admin.checked(C, "at", "ignore", None), reason="clock", actor="me")
    await stack.shadow._rules.refresh()

    assert await read_all(stack, "noisy", "wrong", "noisy") == {"ignored": 2, "value": 1}
    assert await stack.mismatches() == [("value", ("x",), ("wrong",))]


async def test_a_value_that_is_not_a_document_fails_only_its_own_comparison(stack: Stack) -> None:
    """I10: a row that ArangoDB would never print is skipped with a reason; all others are compared."""
    for key in ("same", "value", "numbered", "nameless", "list"):
        await stack.insert_both(key, x=1)
    await stack.change_target("value", changed)
    await stack.change_target("numbered", lambda raw: changed(raw).replace(b'"_rev":"', b'"_rev":5,"rev":"'))
    await stack.change_target("nameless", lambda raw: raw.replace(b'"_id":"docs/nameless"', b'"_id":5'))
    await stack.change_target("list", lambda _: b"[]")

    found = await read_all(stack, "same", "value", "numbered", "nameless", "list", "value")

    assert found == {"match": 1, "value": 2, "skipped": 3}
    assert stack.shadow.skips(C) == {"not understood": 3}
    assert await stack.mismatches() == [("value", ("x",), ("value",))]


async def test_an_exception_in_one_kind_of_read_fails_no_other_kind(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("value", "type"):
        await stack.insert_both(key, x=1)
    await stack.change_target("value", changed)
    await stack.change_target("type", lambda raw: raw.replace(b'"x":1', b'"x":"1"'))
    confirm = stack.shadow._confirmer.confirm_together

    def broken(jobs: Sequence[ReadToCompare], difference: Difference, *rest: Any, **more: Any) -> None:
        if difference.kind is Kind.TYPE:
            raise RuntimeError("nobody foresaw it")
        confirm(jobs, difference, *rest, **more)

    monkeypatch.setattr(stack.shadow._confirmer, "confirm_together", broken)
    assert await read_all(stack, "value", "type", "value") == {"value": 2, "skipped": 1}
    assert stack.shadow.skips(C) == {"failed": 1}


async def test_reads_are_retried_one_by_one_if_the_batch_statement_fails(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("a", "b"):
        await stack.insert_both(key, x=1)

    async def away(collection: str, keys: object) -> dict[str, bytes]:
        raise DatabaseUnavailable("gone")

    monkeypatch.setattr(stack.store, "documents", away)
    assert await read_all(stack, "a", "b") == {"match": 2}


async def test_closing_counts_batched_reads(database: Database) -> None:
    """I10: every read that was handed over is counted, whatever its progress."""
    stack = await stack_on(database)
    reading, go_on = asyncio.Event(), asyncio.Event()

    async def slow(collection: str, keys: object) -> dict[str, bytes]:
        reading.set()
        await go_on.wait()
        return {}

    stack.store.documents = slow  # type: ignore[method-assign]
    await stack.shadow.start()
    for _ in range(3):
        hand_over(stack.shadow, *stack.ask("GET", "/_api/document/docs/a"))
    await reading.wait()
    hand_over(stack.shadow, *stack.ask("GET", "/_api/document/docs/b"))
    await stack.close()

    (row,) = await shapes.listed(database, None)
    assert (row.seen, row.compared, row.skipped) == (4, 0, 4)
