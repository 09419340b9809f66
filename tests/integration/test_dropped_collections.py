"""A dropped collection disappears from the operator's view; a command over many continues after one that fails."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.base import metrics
from proxy.base.errors import JournalError
from proxy.journal.journal import Journal
from proxy.model.stages import CollectionState, Stage
from proxy.operator import status
from proxy.operator.states import States
from tests.harness import Running, eventually, running
from tests.integration.test_deployed import ended

ORDERS, KNOWS = "shop/orders", "shop/knows"


@pytest.fixture
async def stack(dsn: str, tmp_path: Path) -> AsyncIterator[Running]:
    async with running(dsn, tmp_path) as running_stack:
        await running_stack.client.post("/_db/_system/_api/database", json={"name": "shop"})
        for name in ("orders", "knows"):
            await running_stack.client.post("/_db/shop/_api/collection", json={"name": name})
            await running_stack.client.post(f"/_db/shop/_api/document/{name}", json={"_key": "1"})
        await running_stack.move(CollectionState(Stage.MIRROR), ORDERS, KNOWS)
        for name in ("orders", "knows"):
            await running_stack.client.post(f"/_db/shop/_api/document/{name}", json={"_key": "2"})
        await running_stack.drained()
        yield running_stack


async def crossfade(stack: Running, *arguments: str) -> tuple[int, str]:
    environment = os.environ | {
        "CROSSFADE_DSN": stack.dsn,
        "CROSSFADE_ORIGIN": stack.origin.url,
        "CROSSFADE_STATE_DIR": str(stack.settings.state_dir.parent / "cli"),
    }
    return await ended([sys.executable, "-m", "proxy.cli", *arguments], environment)


async def shown_collections(stack: Running) -> set[str]:
    """What operators are shown: by status, and by the metrics."""
    await States(stack.database).refresh()
    text = metrics.render()[0].decode()
    shown = {name for name in (ORDERS, KNOWS) if f'crossfade_stage{{collection="{name}"}}' in text}
    assert {one.collection for one in (await status.read(stack.database)).collections} == shown
    return shown


async def test_a_collection_dropped_through_the_proxy_is_hidden_until_it_is_recreated(stack: Running) -> None:
    assert await shown_collections(stack) == {ORDERS, KNOWS}
    assert (await stack.client.delete("/_db/shop/_api/collection/orders")).status_code == 200
    await stack.drained()
    assert await shown_collections(stack) == {KNOWS}
    code, output = await crossfade(stack, "gates", ORDERS)
    assert (code, "shop/orders is not known" in output) == (1, True)
    code, output = await crossfade(stack, "verify", "--full", "shop/*")
    assert (code, "shop/knows" in output, "shop/orders" in output) == (1, True, False), (
        output
    )  # one document is not copied
    await stack.client.post("/_db/shop/_api/collection", json={"name": "orders"})
    await stack.drained()
    assert await shown_collections(stack) == {ORDERS, KNOWS}
    await stack.client.post("/_db/shop/_api/document/orders", json={"_key": "3"})
    await stack.drained()
    assert await stack.differences(ORDERS) == []


async def test_a_database_dropped_through_the_proxy_is_hidden_with_its_collections(stack: Running) -> None:
    assert (await stack.client.delete("/_db/_system/_api/database/shop")).status_code == 200
    await stack.drained()
    assert await shown_collections(stack) == set()


async def test_a_collection_dropped_at_the_origin_blocks_no_other_verification(stack: Running) -> None:
    assert (await crossfade(stack, "backfill", "shop/*"))[0] == 0
    assert (await stack.direct.delete("/_db/shop/_api/collection/orders")).status_code == 200
    for verb in (("verify", "--full", "shop/*"), ("backfill", "shop/*"), ("verify", "--sample", "50", "shop/*")):
        code, output = await crossfade(stack, *verb)
        assert code == 1, output
        assert "skipped: shop/orders: ArangoDB has no collection shop/orders any more" in output
        assert "shop/knows: run" in output, "the others are done"
    code, output = await crossfade(stack, "gates")
    assert "shop/knows" in output
    code, output = await crossfade(stack, "verify", ORDERS)
    assert (code, "`crossfade repair shop/orders` removes its remains" in output) == (1, True)
    code, output = await crossfade(stack, "repair", ORDERS)
    assert code == 0, output
    assert await shown_collections(stack) == {KNOWS}
    relation = await stack.database.fetchval("SELECT relation FROM _crossfade.collection WHERE collection = $1", ORDERS)
    assert await stack.database.fetchval(f"SELECT count(*) FROM {relation} WHERE doc IS NOT NULL") == 0
    assert (await crossfade(stack, "verify", "--full", "shop/*"))[0] == 0


async def test_a_dropped_collection_that_may_have_been_written_is_visible_again(stack: Running) -> None:
    """A mark that is newer than the drop: nothing that may be there is hidden."""
    await stack.client.delete("/_db/shop/_api/collection/orders")
    await stack.drained()
    assert await shown_collections(stack) == {KNOWS}
    await stack.database.execute(
        "INSERT INTO _crossfade.unverified (collection, reason, instance) VALUES ('shop/*', 'a transaction', 'vm')"
    )
    assert await shown_collections(stack) == {ORDERS, KNOWS}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [("DELETE", "", None), ("PUT", "/rename", {"name": "renamed"}), ("PUT", "/truncate", None)],
    ids=["drop", "rename", "truncate"],
)
async def test_a_change_that_the_journal_could_not_take_is_compared_from_memory(
    stack: Running, monkeypatch: pytest.MonkeyPatch, method: str, path: str, body: object
) -> None:
    """A verification cannot do it: it refuses a collection that ArangoDB does not have any more."""
    assert (await crossfade(stack, "backfill", "shop/*"))[0] == 0
    relation = await stack.database.fetchval("SELECT relation FROM _crossfade.collection WHERE collection = $1", ORDERS)
    count = f"SELECT count(*) FROM {relation} WHERE doc IS NOT NULL"
    assert await stack.database.fetchval(count) == 2

    def full(*_: object, **__: object) -> int:
        raise JournalError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "intend", full)
        response = await stack.client.request(method, f"/_db/shop/_api/collection/orders{path}", json=body)
        assert response.status_code == 200, response.text

        async def is_empty() -> bool:
            return bool(await stack.database.fetchval(count) == 0)

        await eventually(is_empty, "PostgreSQL has no document of it")
    await stack.drained()
    reasons = await stack.database.fetch("SELECT reason FROM _crossfade.unverified WHERE collection = $1", ORDERS)
    assert [row["reason"] for row in reasons] == ["the journal could not be written"], "a crash would have lost it"
