"""A flipped stack, and rows that PostgreSQL refuses on demand."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from proxy.model.stages import CollectionState, Stage
from proxy.state import audit
from tests.harness import Running, eventually, running

BOOKS = "_system/books"
DOCUMENT = "/_api/document/books"
CREATE_TRIGGER = """
CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.doc IS NULL AND {removals}) OR NEW.doc ->> 'n' = '666' THEN
        RAISE 'not this one' USING ERRCODE = '{state}';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON _system.books FOR EACH ROW EXECUTE FUNCTION public.refuse();
"""
Write = Callable[[httpx.AsyncClient], Awaitable[httpx.Response]]


@pytest.fixture
async def stack(dsn: str, tmp_path: Path) -> AsyncIterator[Running]:
    async with running(dsn, tmp_path) as started:
        await started.client.post("/_api/collection", json={"name": "books"})
        for stage in (Stage.MIRROR, Stage.SHADOW):
            await started.move(CollectionState(stage), BOOKS)
        await started.client.post(DOCUMENT, json=[{"_key": key, "n": 0} for key in ("a", "b", "c")])
        await started.drained()
        yield started


async def flip(stack: Running) -> None:
    await stack.move(CollectionState(Stage.FLIPPED, 100), BOOKS)

    async def served() -> bool:
        answer = await stack.client.get(DOCUMENT + "/a", headers={"x-crossfade-explain": "1"})
        return answer.headers["x-crossfade-served-by"] == "postgresql"

    await eventually(served, "PostgreSQL serves reads")


async def stage(stack: Running) -> str:
    found: str = await stack.database.fetchval("SELECT stage FROM _crossfade.collection WHERE collection = $1", BOOKS)
    return found


async def rollback_reason(stack: Running) -> str:
    """Return the reason of the newest change of stage, which must be a rollback."""
    entry = (await audit.entries(stack.database, limit=1))[0]
    assert entry.action == "rollback"
    return entry.reason or ""


async def dead_letter_keys(stack: Running) -> list[str]:
    rows = await stack.database.fetch("SELECT key FROM _crossfade.dead_letter ORDER BY key")
    return [row["key"] for row in rows]


async def refuse(stack: Running, state: str = "P0001", *, removals: bool = False) -> None:
    await stack.database.execute(CREATE_TRIGGER.format(state=state, removals="true" if removals else "false"))


async def update_in_transaction(client: httpx.AsyncClient) -> httpx.Response:
    transaction = await client.post("/_api/transaction/begin", json={"collections": {"write": ["books"]}})
    number = transaction.json()["result"]["id"]
    await client.patch(DOCUMENT + "/a", json={"n": 666}, headers={"x-arango-trx-id": number})
    return await client.put(f"/_api/transaction/{number}")


def json_lines(*documents: dict[str, object]) -> str:
    return "\n".join(map(json.dumps, documents))


# each makes document `a` hold 666
WRITES: dict[str, Write] = {
    "insert over it": lambda c: c.post(DOCUMENT + "?overwriteMode=replace", json={"_key": "a", "n": 666}),
    "update": lambda c: c.patch(DOCUMENT + "/a", json={"n": 666}),
    "replace": lambda c: c.put(DOCUMENT + "/a", json={"n": 666}),
    "array": lambda c: c.patch(DOCUMENT, json=[{"_key": "b", "n": 1}, {"_key": "a", "n": 666}, {"_key": "c", "n": 1}]),
    "query": lambda c: c.post("/_api/cursor", json={"query": "UPDATE 'a' WITH {n: 666} IN books"}),
    "import": lambda c: c.post(
        "/_api/import?collection=books&type=documents&onDuplicate=update",
        content=json_lines({"_key": "a", "n": 666}, {"_key": "d", "n": 1}),
    ),
    "transaction": update_in_transaction,
}
