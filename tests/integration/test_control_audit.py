"""The audit: rows chained by hash, each in the transaction of its change; tampering is located in the chain."""

from __future__ import annotations

import asyncio

import pytest

from proxy.state import audit
from tests.ad_hoc import Database


async def _write(database: Database, number: int) -> None:
    async with database.transaction() as session:
        await audit.record(
            session,
            actor="ann",
            action="change",
            reason=None if number % 2 else "why not",
            detail={"number": number, "half": number / 2, "big": 1e22, "text": "é\u2028", "none": None},
        )


async def test_concurrent_writers_keep_the_chain_valid(database: Database) -> None:
    assert await audit.verify(database) == audit.ChainVerdict(0, audit.ORIGIN)
    await asyncio.gather(*(_write(database, number) for number in range(12)))
    found = await audit.verify(database)
    assert (found.rows, found.broken) == (12, None)
    newest = await audit.entries(database, limit=1)
    assert newest[0].hash == found.head
    assert newest[0].detail["big"] == 1e22


async def test_a_change_that_is_rolled_back_leaves_no_row(database: Database) -> None:
    async def fails() -> None:
        async with database.transaction() as session:
            await audit.record(session, actor="ann", action="change")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fails()
    assert await audit.entries(database) == []


@pytest.mark.parametrize(
    ("tampering", "broken"),
    [
        ("UPDATE _crossfade.audit SET actor = 'bob' WHERE id = 2", 2),
        ("UPDATE _crossfade.audit SET detail = '{}' WHERE id = 3", 3),
        ("DELETE FROM _crossfade.audit WHERE id = 2", 3),
    ],
)
async def test_tampering_is_located(
    database: Database, tampering: str, broken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "_PAGE", 2)
    for number in range(5):
        await _write(database, number)
    await database.execute(tampering)
    found = await audit.verify(database)
    assert found.broken == broken
    assert found.rows == broken - 1 - (tampering.startswith("DELETE"))
    assert found.why
