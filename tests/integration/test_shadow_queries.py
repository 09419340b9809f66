"""The shadow compares queries: batches of a cursor, rows that differ, the order of rows."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable

import orjson
import pytest

from proxy.operator import shapes
from proxy.operator.mismatches import list_mismatches, show_mismatch
from proxy.stores.postgres import PostgresStore, QueryLimits
from tests.ad_hoc import Database
from tests.integration.shadow_fixtures import C, Stack, stack_on
from tests.integration.target_fixtures import remove


@pytest.fixture
async def stack(database: Database) -> AsyncIterator[Stack]:
    created = await stack_on(database)
    await created.shadow.start()
    yield created
    await created.close()


# ---- queries


async def test_equal_queries_match(stack: Stack) -> None:
    for number in range(6):
        await stack.insert_both(f"k{number}", n=number, group=number % 2)

    await stack.query("FOR d IN docs FILTER d.group == @g RETURN d", {"g": 1})
    await stack.query("FOR d IN docs SORT d.group LIMIT 1, 3 RETURN d.n")
    await stack.query("FOR d IN docs COLLECT g = d.group WITH COUNT INTO n RETURN {g, n}", count=True)
    await stack.query("FOR d IN docs SORT d.n RETURN d", batchSize=2)
    await stack.query("FOR d IN docs LIMIT 2 RETURN d.n + ", {})
    await stack.query("FOR d IN docs LIMIT @skip, @n RETURN d", {"skip": 1, "n": 3}, count=True)
    await stack.query("FOR d IN docs SORT RAND() LIMIT 2 RETURN d.n")
    await stack.query("FOR d IN docs FILTER d.group == 0 LIMIT 0, 2 RETURN d.n", options={"fullCount": True})

    assert await stack.counts() == {"compared": 7, "matched": 7}
    by_text = {row.text: row for row in await shapes.listed(stack.database, None)}
    assert by_text["FOR d IN docs FILTER d . group == ? RETURN d"].matched == 1
    assert await stack.skipped() == 1  # RAND(): undetermined


async def test_queries_that_cannot_be_compared_are_counted(stack: Stack) -> None:
    await stack.insert_both("a", n=1)
    await stack.insert_both("b", n=2)

    await stack.query("FOR d IN docs RETURN RAND()")
    await stack.query("FOR d IN docs RETURN DOCUMENT(CONCAT('docs/', d._key)).n")
    await stack.query("FOR d IN docs RETURN d", batchSize=1, leave=True)

    assert await stack.counts() == {}
    assert await stack.skipped() == 3


async def test_every_batch_of_a_cursor_is_compared(stack: Stack) -> None:
    """What differs lies in the third batch; the rechecks read their own cursors to the end as well."""
    for key in "abcdef":
        await stack.insert_both(key, n=1)
    await remove(stack.database, C, ["f"])
    requests: list[str] = []
    stack.origin.before = lambda operation: requests.append(operation.endpoint.name)

    await stack.query("FOR d IN docs SORT d._key RETURN d", batchSize=2)

    assert requests.count("cursor.create") * 2 == requests.count("cursor.next") > 0
    assert await stack.mismatches() == [("missing", (), ("f",))]
    assert await stack.counts() == {"compared": 1, "mismatched": 1}


async def test_an_abandoned_cursor_is_compared_as_far_as_it_was_read(stack: Stack) -> None:
    for key in "abcdef":
        await stack.insert_both(key, n=1)
    await remove(stack.database, C, ["f"])

    await stack.query("FOR d IN docs SORT d._key RETURN d", batchSize=2, leave=True)

    assert await stack.counts() == {"compared": 1, "matched": 1}


@pytest.mark.parametrize(
    ("plant", "found"),
    [
        (b'"n":2', ("value", ("[].n",), ("b",))),
        (b'"n":"1"', ("type", ("[].n",), ("b",))),
    ],
)
async def test_rows_that_differ_are_a_mismatch(
    stack: Stack, plant: bytes, found: tuple[str, tuple[str, ...], tuple[str, ...]]
) -> None:
    for key in "abc":
        await stack.insert_both(key, n=1)
    await stack.change_target("b", lambda raw: raw.replace(b'"n":1', plant))

    await stack.query("FOR d IN docs SORT d._key RETURN d")

    assert await stack.mismatches() == [found]
    (row,) = await list_mismatches(stack.database)
    shown = await show_mismatch(stack.database, row.id)
    assert shown is not None
    assert [document["_key"] for document in orjson.loads(shown.samples[0]["origin"])] == ["b"]
    assert shown.samples[0]["request"]["query"] == "FOR d IN docs SORT d._key RETURN d"


async def test_rows_that_one_side_lacks_are_a_mismatch(stack: Stack) -> None:
    for key in "abc":
        await stack.insert_both(key, n=1)
    await remove(stack.database, C, ["a"])
    await stack.query("FOR d IN docs RETURN d")
    stack.ask("DELETE", "/_api/document/docs/b")
    await remove(stack.database, C, [])
    await stack.query("FOR d IN docs FILTER d._key != 'a' RETURN d")
    stack.insert("c", n=2)
    await stack.query("FOR d IN docs FILTER d._key == 'c' RETURN d")

    assert await stack.mismatches() == [("extra", (), ("b",)), ("missing", (), ("a",)), ("stale", (), ("c",))]


async def test_a_wrong_order_of_rows_is_a_mismatch(stack: Stack) -> None:
    for number, key in enumerate("abc"):
        await stack.insert_both(key, n=number)
    for key, number in (("a", 2), ("c", 0)):
        await stack.change_target(key, _numbered(number))

    await stack.query("FOR d IN docs SORT d.n RETURN {k: d._key}")

    assert await stack.mismatches() == [("order", ("[]",), ())]


def _numbered(number: int) -> Callable[[bytes], bytes]:
    return lambda raw: re.sub(rb'"n":.', b'"n":%d' % number, raw)


async def test_a_query_that_the_target_cannot_run_is_unsupported(stack: Stack, database: Database) -> None:
    for key in "abc":
        await stack.insert_both(key)
    stack.store = PostgresStore(database, limits=QueryLimits(rows=2))
    stack.shadow._sides.store = stack.store

    await stack.query("FOR d IN docs RETURN d")

    assert await stack.counts() == {"unsupported": 1}
