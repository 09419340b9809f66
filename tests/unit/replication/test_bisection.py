"""Which items of a batch a database refuses."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from proxy.base.errors import ArangoError, CrossfadeError, DatabaseUnavailable, StatementError
from proxy.replication.bisection import ENOUGH, RefusalCounts, RefusedItem, bisect, is_of_a_document


async def test_refused_items_are_found_by_halves() -> None:
    tried: list[int] = []

    async def attempt(items: Sequence[int]) -> None:
        tried.append(len(items))
        if 6 in items:
            raise ArangoError(600, "no JSON", status=400)

    refused = await bisect(list(range(8)), attempt, lambda _: True)
    assert ([one.item for one in refused], max(tried)) == ([6], 8)
    assert await bisect([], attempt, lambda _: True) == []
    with pytest.raises(ArangoError):
        await bisect([6], attempt, lambda _: False)


async def test_refused_items_come_in_their_order_and_the_others_are_written_once() -> None:
    written: list[int] = []

    async def attempt(items: Sequence[int]) -> None:
        if set(items) & {0, 3, 4}:
            raise StatementError("no", "23514")
        written.extend(items)

    refused = await bisect(list(range(7)), attempt, is_of_a_document)
    assert [(one.item, one.reason) for one in refused] == [(0, "23514: no"), (3, "23514: no"), (4, "23514: no")]
    assert sorted(written) == [1, 2, 5, 6]


@pytest.mark.parametrize(
    ("error", "of_a_document"),
    [
        (StatementError("a value", "22003"), True),
        (StatementError("a constraint", "23514"), True),
        (StatementError("the check option of a view", "44000"), True),
        (StatementError("too large for an index", "54000"), True),
        (StatementError("raised by a trigger", "P0001"), True),
        (StatementError("a conflict", "40001"), False),
        (StatementError("a privilege", "42501"), False),
        (DatabaseUnavailable("a constraint, and the connection is lost", "23514"), False),
        (ArangoError(1200), False),
    ],
)
def test_which_errors_are_about_a_document(error: CrossfadeError, *, of_a_document: bool) -> None:
    """Views with a check option refuse rows (class 44) for the mirror, a backfill and an archive alike."""
    assert is_of_a_document(error) is of_a_document


def test_the_reason_of_a_refusal_begins_with_its_sqlstate_if_there_is_one() -> None:
    assert RefusedItem(1, StatementError("x", "22000")).reason == "22000: x"
    assert RefusedItem(1, ArangoError(600, "no JSON", status=400)).reason == "400/600: no JSON"


def test_rows_are_tried_apart_after_so_many_refusals_of_a_batch_with_them() -> None:
    counts = RefusalCounts()
    assert [counts.refused("db/c", ["a", "b"]) for _ in range(ENOUGH)] == [False] * (ENOUGH - 1) + [True]
    counts.taken("db/c", ["a", "b"])
    assert not counts.refused("db/c", ["a"])
    assert not counts.refused("db/other", ["a"])
