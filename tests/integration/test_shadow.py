"""The shadow finds what differs, of every class, and nothing else: a real PostgreSQL against ArangoDB in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import orjson
import pytest

from proxy.base.errors import UpstreamUnavailable
from proxy.model.operations import Operation
from proxy.operator import shapes
from proxy.operator.mismatches import list_mismatches, show_mismatch
from tests.ad_hoc import Database
from tests.integration.shadow_fixtures import C, Stack, hand_over, stack_on
from tests.integration.target_fixtures import remove


@pytest.fixture
async def stack(database: Database) -> AsyncIterator[Stack]:
    created = await stack_on(database)
    await created.shadow.start()
    yield created
    await created.close()


# ---- no mismatch


async def test_equal_reads_match(stack: Stack) -> None:
    await stack.insert_both("a", x=1)
    await stack.insert_both("b", x=2)

    await stack.read("a")
    await stack.read("missing")
    await stack.compare("HEAD", "/_api/document/docs/a")
    await stack.compare("PUT", "/_api/document/docs?onlyget=true", ["a", "b", "none"])
    await stack.compare(
        "GET", "/_api/document/docs/a", if_none_match=orjson.loads(await stack.insert_both("a"))["_rev"]
    )

    assert await stack.counts() == {"compared": 5, "matched": 5}
    by_shape = {row.shape: row for row in await shapes.listed(stack.database, None)}
    assert by_shape["document.read"].matched == 3
    assert stack.shadow.figures(C)["mismatch_rate"] == 0
    assert stack.origin.requests == 0


async def test_queued_reads_are_compared_in_one_batch(stack: Stack) -> None:
    for key in "abc":
        await stack.insert_both(key, x=1)
    await stack.change_target("b", lambda raw: raw.replace(b'"x":1', b'"x":2'))
    await remove(stack.database, C, ["c"])
    requests: list[tuple[str, str, dict[str, str]]] = [("GET", f"/_api/document/docs/{key}", {}) for key in "aabbccn"]
    requests.append(("GET", "/_api/document/docs/a", {"if_match": "other"}))
    requests.append(("GET", "/_api/document/none/a", {}))

    for method, target, headers in requests:
        operation, outcome = stack.ask(method, target, **headers)
        hand_over(stack.shadow, operation, outcome)
    await stack.shadow.idle()

    assert await stack.mismatches() == [("missing", (), ("c",)), ("value", ("x",), ("b",))]
    assert await stack.counts() == {"compared": 9, "matched": 5, "mismatched": 4}


async def test_closing_counts_the_reads_of_an_unfinished_batch(database: Database) -> None:
    stack = await stack_on(database)
    await stack.shadow.start()
    async with database.transaction() as session:
        await session.execute("LOCK TABLE db.docs IN ACCESS EXCLUSIVE MODE")
        for key in "abc":
            operation, outcome = stack.ask("GET", f"/_api/document/docs/{key}")
            hand_over(stack.shadow, operation, outcome)
        while not await session.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            await asyncio.sleep(0.01)
        await stack.close()

    assert await stack.skipped() == 3


async def test_harmless_differences_match(stack: Stack) -> None:
    await stack.insert_both("a", x=1, y={"p": 1, "q": [1, 2]})
    await stack.change_target("a", lambda raw: orjson.dumps(dict(reversed(orjson.loads(raw).items()))))
    await stack.read()
    await stack.change_target("a", lambda raw: raw.replace(b'"x":1', b'"x":1.0'))
    await stack.read()

    assert await stack.counts() == {"compared": 2, "matched": 2}


async def test_lag_is_not_a_mismatch(stack: Stack) -> None:
    """I8: the mirror had not applied the write yet."""
    await stack.insert_both("a", x=1)
    stack.catching_up.append(stack.insert("a", x=2))

    await stack.read()

    assert await stack.counts() == {"compared": 1, "matched": 1, "lagged": 1}
    assert await list_mismatches(stack.database) == []


async def test_a_constantly_changing_document_is_undecided(database: Database) -> None:
    stack = await stack_on(database, recheck_timeout=1.0)
    await stack.shadow.start()
    await stack.insert_both("a", x=0)
    changes = iter(range(1, 10_000))
    stack.insert("a", x=next(changes))

    def change(_operation: Operation) -> None:
        stack.insert("a", x=next(changes))

    stack.origin.before = change

    await stack.read()

    assert await stack.counts() == {"compared": 1, "undecided": 1}
    await stack.close()


async def test_a_difference_stays_undecided_while_the_mirror_does_not_catch_up(stack: Stack) -> None:
    await stack.insert_both("a", x=1)
    stack.insert("a", x=2)
    stack.mirrored = False

    await stack.read()

    assert await stack.counts() == {"compared": 1, "undecided": 1}


async def test_a_recheck_stays_undecided_while_the_origin_is_away(database: Database) -> None:
    stack = await stack_on(database, recheck_timeout=0.2)
    await stack.shadow.start()
    stack.insert("a")

    def away(_operation: Operation) -> None:
        raise UpstreamUnavailable("connection refused")

    stack.origin.before = away
    await stack.read()
    await stack.read(reverse=True)

    assert await stack.counts() == {"compared": 1, "undecided": 1}
    assert await stack.skipped() == 1
    await stack.close()


# ---- every class


async def test_missing_and_extra_documents_are_mismatches(stack: Stack) -> None:
    await stack.insert_both("a", x=1)
    await stack.insert_both("b", x=1)
    await remove(stack.database, C, ["a"])
    stack.ask("DELETE", "/_api/document/docs/b")

    await stack.read("a")
    await stack.read("b")
    await stack.compare("PUT", "/_api/document/docs?onlyget", ["a"])
    await stack.compare("HEAD", "/_api/document/docs/b")

    assert await stack.mismatches() == [("extra", (), ("b",)), ("missing", (), ("a",))]
    assert await stack.counts() == {"compared": 4, "mismatched": 4}
    assert stack.shadow.figures(C)["mismatch_rate"] == 1


async def test_an_older_version_is_a_stale_mismatch(stack: Stack) -> None:
    await stack.insert_both("a", x=1)
    stack.insert("a", x=2)

    await stack.read()

    assert await stack.mismatches() == [("stale", (), ("a",))]
    assert stack.waited >= 1


@pytest.mark.parametrize(
    ("change", "kind", "paths"),
    [
        ((b'"x":1', b'"x":2'), "value", ("x",)),
        ((b'"x":1', b'"x":"1"'), "type", ("x",)),
        ((b'"x":1', b'"x":true'), "type", ("x",)),
        ((b'"q":1', b'"r":1'), "value", ("y.q", "y.r")),
        ((b"[1,2]", b"[2,1]"), "order", ("y.l[]",)),
    ],
)
async def test_different_content_of_one_revision_counts_immediately(
    stack: Stack, change: tuple[bytes, bytes], kind: str, paths: tuple[str, ...]
) -> None:
    """I8: nothing is waited for."""
    await stack.insert_both("a", x=1, y={"q": 1, "l": [1, 2]})
    await stack.change_target("a", lambda raw: raw.replace(*change))

    await stack.read()

    assert await stack.mismatches() == [(kind, paths, ("a",))]
    assert (stack.waited, stack.origin.requests) == (0, 0)


async def test_an_error_of_one_side_is_a_mismatch(stack: Stack) -> None:
    await stack.insert_both("a", x=1)
    await stack.database.execute("ALTER TABLE db.docs DROP COLUMN raw CASCADE")

    await stack.read()

    assert await stack.mismatches() == [("error", ("origin answer, target 500/4",), ("a",))]


# ---- the other way round


async def test_reads_that_postgresql_served_are_compared_with_the_origin(stack: Stack) -> None:
    await stack.insert_both("a", x=1)
    await stack.insert_both("b", x=1)
    await stack.change_target("b", lambda raw: raw.replace(b'"x":1', b'"x":2'))

    await stack.read("a", reverse=True)
    await stack.read("b", reverse=True)
    await stack.compare("POST", "/_api/cursor", {"query": "FOR d IN docs SORT d._key RETURN d"}, reverse=True)

    assert await stack.mismatches() == [("value", ("[].x",), ("b",)), ("value", ("x",), ("b",))]
    shown = await show_mismatch(stack.database, (await list_mismatches(stack.database))[0].id)
    assert shown is not None
    assert shown.samples[0]["reversed"] is True
