"""TTL indexes on PostgreSQL: which documents expire, and that they are removed as by other writes."""

from __future__ import annotations

import math
from typing import Any, Final

import orjson
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import sql
from proxy.complete.expiry import Expiry
from proxy.semantics.expiry import moment_of
from proxy.stores.postgres.writes import DocumentWriter
from proxy.wire.decode import decode_parts
from tests.ad_hoc import Database
from tests.harness import straight
from tests.integration.target_fixtures import take_writes

C: Final = "_system/c"
NOW: Final = 1_700_000_000.0
_TTL: Final = {"type": "ttl", "id": "c/9", "name": "t", "fields": ["at.end"], "expireAfter": 60, "unique": False}


@st.composite
def _dates(draw: st.DrawFn) -> str:
    def digits(count: int, last: int) -> str:
        return str(draw(st.integers(0, last))).zfill(count)

    text = f"{digits(4, 9999)}-{digits(2, 13)}-{digits(2, 32)}"
    if draw(st.booleans()):
        text += draw(st.sampled_from("T t")) + f"{digits(2, 25)}:{digits(2, 61)}"
        if draw(st.booleans()):
            text += f":{digits(2, 61)}" + draw(st.sampled_from(["", ".", ".5", ".123456", ".1234567"]))
        text += draw(st.sampled_from(["", "Z", "z", "+01:00", "-23:59", "+24:00", "+0100", " "]))
    return text


_MOMENTS = st.one_of(
    _dates(),
    st.text(max_size=4),
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats(allow_nan=False, allow_infinity=False),
    st.lists(st.integers(0, 9), max_size=1),
)


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=_MOMENTS)
@example(value="2024-02-30")
@example(value="0000-01-01")
@example(value="2024-02-29T23:59:59.999999-01:30")
@example(value="٢٠٢٤-01-01")
@example(value="2024-01-01\n")
@example(value=5e-324)
@example(value=1.7e308)
async def test_postgresql_reads_the_same_moments(database: Database, value: Any) -> None:
    text = orjson.dumps({"a": {"b": value}}).decode()
    if "\\u0000" in text:
        return
    found = await database.fetchval("SELECT _crossfade.moment_of($1::jsonb, '{a,b}')", text)
    expected = moment_of(value)
    assert (found is None) == (expected is None)
    if expected is not None:
        assert math.isclose(found, expected, rel_tol=1e-15, abs_tol=1e-5)


async def insert(writer: DocumentWriter, documents: list[dict[str, Any]]) -> None:
    outcome = await writer.execute(decode_parts("POST", b"/_api/document/c", [], orjson.dumps(documents)))
    assert outcome.status == 202


async def keys(database: Database, relation: str) -> list[str]:
    rows = await database.fetch(f"SELECT key FROM {relation} WHERE doc IS NOT NULL ORDER BY key")
    return [row["key"] for row in rows]


async def test_documents_are_removed_after_their_time_and_no_others(database: Database, dsn: str) -> None:
    relation = await take_writes(database, C, {"indexes": [_TTL]})
    await insert(
        DocumentWriter(database),
        [
            {"_key": "over", "at": {"end": NOW - 61}},
            {"_key": "date", "at": {"end": "2023-11-14T22:12:00Z"}},
            {"_key": "locked", "at": {"end": 0}},
            {"_key": "still", "at": {"end": NOW - 59}},
            {"_key": "never", "at": {"end": "tomorrow"}},
            {"_key": "none"},
        ],
    )
    await database.execute("TRUNCATE _crossfade.outbox")
    expiry = Expiry(database, now=lambda: NOW)
    async with straight(dsn) as other, other.transaction():
        await other.execute(f"SELECT FROM {relation} WHERE key = 'locked' FOR UPDATE")
        await expiry.remove_expired()
    assert await keys(database, relation) == ["locked", "never", "none", "still"]
    await expiry.remove_expired()
    assert await keys(database, relation) == ["never", "none", "still"]
    rows = await database.fetch("SELECT collection, key FROM _crossfade.outbox ORDER BY id")
    assert [tuple(row) for row in rows] == [(C, "date"), (C, "over"), (C, "locked")]
    tombstones = await database.fetchval(f"SELECT count(*) FROM {relation} WHERE doc IS NULL AND raw IS NULL")
    assert tombstones == 3


@pytest.mark.parametrize("documents", [999, 1000, 2500])
async def test_more_than_a_batch_is_removed(database: Database, documents: int) -> None:
    relation = await take_writes(database, C, {"indexes": [_TTL]})
    await insert(DocumentWriter(database), [{"_key": f"{n}", "at": {"end": n}} for n in range(documents)])
    await Expiry(database, now=lambda: NOW).remove_expired()
    assert await keys(database, relation) == []


async def test_nothing_is_removed_if_postgresql_does_not_take_the_writes(database: Database) -> None:
    relation = await take_writes(database, C, {"indexes": [_TTL]})
    await insert(DocumentWriter(database), [{"_key": "a", "at": {"end": 0}}])
    expiry = Expiry(database, now=lambda: NOW)
    for closed, opened in (
        ("UPDATE _crossfade.stamp_floor SET writer = 'none'", "UPDATE _crossfade.stamp_floor SET writer = 'target'"),
        ("UPDATE _crossfade.control SET closing = true", "UPDATE _crossfade.control SET closing = false"),
    ):
        await database.execute(closed)
        await expiry.remove_expired()
        assert await database.fetchval(sql.complete.REMOVE_EXPIRED, C, ["at", "end"], NOW, 10) == 0
        assert await keys(database, relation) == ["a"]
        await database.execute(opened)
    await expiry.remove_expired()
    assert await keys(database, relation) == []
