"""The watch with real servers: an out-of-band write is reported within seconds, one through the proxy never (I10)."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import sql
from backfill import run_planner
from backfill.out_of_band_judge import OriginVersion
from backfill.out_of_band_watch import OutOfBandWatch
from backfill.source import ArangoSource
from backfill.worker import WorkerOptions, Workers
from proxy.control import gate_inputs, thresholds
from proxy.control.gates.gate_types import Gate, GateVerdict
from proxy.control.gates.rules.out_of_band import VANISHED
from proxy.http.upstream import Upstream
from proxy.model.message import Request, Response
from proxy.model.stages import CollectionState, Stage
from proxy.operator import out_of_band
from tests.ad_hoc import Database
from tests.harness import Running, eventually, running
from tests.integration.test_shapes import shell

BOOKS = "_system/books"
PATH = "/_api/document/books"


class OriginWithoutLog:
    """A coordinator: it has no write-ahead log (501)."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    async def request(self, request: Request, *, idempotent: bool = False) -> Response:
        if b"/_api/wal/" in request.target:
            return Response(501, [(b"content-type", b"application/json")], b'{"error": true, "errorNum": 1470}')
        return await self._upstream.request(request, idempotent=idempotent)


class Watcher:
    """A running watch, and what it reported."""

    def __init__(self, stack: Running, *, scans: bool = False) -> None:
        self.stack = stack
        self.found: list[tuple[str, bool]] = []
        self.stop = asyncio.Event()
        self._upstream = Upstream(stack.origin.url, connections=2)
        requester = OriginWithoutLog(self._upstream) if scans else self._upstream
        self._watch = OutOfBandWatch(stack.database, requester, "root", "", self.stop, found=self._record, pause=0.05)
        self._task = asyncio.create_task(self._watch.run())

    def _record(self, one: OriginVersion) -> None:
        self.found.append((one.key, one.removed))

    async def close(self) -> None:
        self.stop.set()
        await self._task
        await self._upstream.close()

    async def row(self) -> Any:
        return await self.stack.database.fetchrow(
            "SELECT mode, since, judged_until, pending, note, clock_timestamp() AS now FROM _crossfade.bypass_watch "
            "WHERE collection = $1",
            BOOKS,
        )

    async def wait_until_watched(self) -> None:
        async def is_watched() -> bool:
            return await self.row() is not None

        await eventually(is_watched, "the collection is watched")

    async def wait_until_judged(self) -> None:
        """Wait until every write up to now is judged."""
        now = await self.stack.database.fetchval("SELECT clock_timestamp()")

        async def is_judged() -> bool:
            row = await self.row()
            return row is not None and row["judged_until"] > now

        await eventually(is_judged, "everything up to now is judged")

    async def wait_until_reported(self, *keys: str) -> None:
        await eventually(lambda: {key for key, _ in self.found} >= set(keys), f"{keys} are reported")


@contextlib.asynccontextmanager
async def watched(stack: Running, **options: Any) -> AsyncIterator[Watcher]:
    watcher = Watcher(stack, **options)
    try:
        await watcher.wait_until_watched()
        yield watcher
    finally:
        await watcher.close()


@contextlib.asynccontextmanager
async def mirrored(dsn: str, folder: Path, **settings: Any) -> AsyncIterator[Running]:
    async with running(dsn, folder, **settings) as stack:
        await stack.direct.post("/_api/collection", json={"name": "books"})
        await stack.direct.post(PATH, json=[{"_key": f"old{n}"} for n in range(20)])
        await stack.move(CollectionState(Stage.MIRROR), BOOKS)
        yield stack


async def test_only_an_out_of_band_drop_is_reported(dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stays reported until the document is there again or repaired; the gate states it."""
    monkeypatch.setattr("backfill.out_of_band_watch._VANISHED", 0.1)
    async with mirrored(dsn, tmp_path) as stack, watched(stack) as watcher:
        await stack.client.post("/_api/collection", json={"name": "own"})
        await stack.move(CollectionState(Stage.MIRROR), "_system/own")
        await stack.client.delete("/_api/collection/own")
        await stack.direct.delete("/_api/collection/books")

        async def is_reported() -> bool:
            row = await watcher.row()
            return row is not None and row["note"] == VANISHED

        await eventually(is_reported, "it is reported")
        sql = "SELECT note FROM _crossfade.bypass_watch WHERE collection = '_system/own'"
        assert await stack.database.fetchval(sql) != VANISHED
        gate = await _gate(stack)
        assert (gate.verdict, gate.figures) == (GateVerdict.FAILED, VANISHED)
        await stack.direct.post("/_api/collection", json={"name": "books"})

        async def silent() -> bool:
            return not await is_reported()

        await eventually(silent, "it is there again")


async def _every_kind_of_write(client: httpx.AsyncClient) -> None:
    """Write through the proxy in every way: by key, keyless, in arrays, by query, import, transaction, truncation."""
    await client.post(PATH, json=[{"_key": f"k{n}"} for n in range(10)])
    await client.post(PATH, json={"n": 1})
    await client.patch(f"{PATH}/k1", json={"a": 1})
    await client.put(f"{PATH}/k2", json={"b": 1})
    await client.delete(f"{PATH}/k3")
    await client.post(PATH + "?overwriteMode=update", json={"_key": "old1", "c": 1})
    await client.post("/_api/cursor", json={"query": "FOR b IN books FILTER b.c == 1 UPDATE b WITH {d: 1} IN books"})
    await client.post("/_api/cursor", json={"query": "FOR n IN 1..3 INSERT {_key: CONCAT('q', n)} INTO books"})
    await client.post("/_api/cursor", json={"query": "REMOVE 'k4' IN books RETURN OLD"})
    await client.post("/_api/import?collection=books&type=list", json=[{"_key": "i1"}, {"_key": "i2"}])
    transaction = await client.post("/_api/transaction/begin", json={"collections": {"write": ["books"]}})
    headers = {"x-arango-trx-id": transaction.json()["result"]["id"]}
    await client.post(PATH, json={"_key": "t1"}, headers=headers)
    await client.patch(f"{PATH}/t1", json={"twice": True}, headers=headers)
    await client.delete(f"{PATH}/k5", headers=headers)
    await client.put(f"/_api/transaction/{headers['x-arango-trx-id']}")
    await client.put("/_api/simple/remove-by-keys", json={"collection": "books", "keys": ["k6"]})


async def test_only_out_of_band_writes_are_reported(dsn: str, tmp_path: Path) -> None:
    async with mirrored(dsn, tmp_path) as stack, watched(stack) as watcher:
        await _every_kind_of_write(stack.client)
        await stack.direct.post(PATH, json={"_key": "around"})
        await stack.direct.patch(f"{PATH}/k1", json={"around": True})
        await stack.direct.delete(f"{PATH}/old2")
        await watcher.wait_until_reported("around", "k1", "old2")
        await _every_kind_of_write(stack.client)
        await stack.client.put("/_api/collection/books/truncate")
        await stack.drained()
        await watcher.wait_until_judged()
        assert sorted(watcher.found) == [("around", False), ("k1", False), ("old2", True)]
        (counted,) = await out_of_band.counts(stack.database)
        assert (counted.collection, counted.number, counted.open) == (BOOKS, 3, 3)


async def _verified(stack: Running, *, repair: bool = True) -> None:
    source = ArangoSource(stack.origin.url, "root", "")
    try:
        run = await run_planner.plan_verification(stack.database, source, BOOKS, repair=repair)
        await Workers(stack.database, stack.database, source, WorkerOptions(poll=0.02), asyncio.Event()).work([run])
    finally:
        await source.close()


async def _gate(stack: Running, name: str = "no out-of-band writes") -> Gate:
    gates = (await gate_inputs.judge(stack.database, stack.settings, [BOOKS]))[BOOKS]
    return next(gate for gate in gates if gate.name == name)


async def test_an_origin_that_lost_what_it_acknowledged_is_not_ready_for_a_rollback(dsn: str, tmp_path: Path) -> None:
    async with mirrored(dsn, tmp_path) as stack:
        await thresholds.put(stack.database, "lag_seconds", 0.5, actor="test", reason="a short test")
        await stack.client.post(PATH, json=[{"_key": f"k{n}"} for n in range(60)])
        await stack.drained()
        gate = await _gate(stack, "rollback possible")
        assert (gate.verdict, gate.figures) == ("pass", "answers, has 50 of 50 looked up")
        await stack.direct.delete(f"{PATH}/k59")
        await stack.direct.put(f"{PATH}/k58", json={"newer": True})  # the origin may be ahead, never behind
        lost = await _gate(stack, "rollback possible")
        assert (lost.verdict, lost.figures) == ("fail", "1 of 50 looked up are not in ArangoDB: k59")
        await stack.origin.stop()
        gate_while_away = await _gate(stack, "rollback possible")
        assert (gate_while_away.verdict, "does not answer" in gate_while_away.figures) == ("fail", True)
        await stack.origin.start()


async def test_documents_copied_by_a_backfill_are_judged_by_how_they_were_written(dsn: str, tmp_path: Path) -> None:
    """A row in PostgreSQL does not prove whether the write came through a proxy or out of band."""
    async with mirrored(dsn, tmp_path) as stack:
        source = ArangoSource(stack.origin.url, "root", "")
        async with watched(stack) as watcher:
            run = await run_planner.plan_backfill(stack.database, source, BOOKS)
            workers = Workers(stack.database, stack.database, source, WorkerOptions(poll=0.02), asyncio.Event())
            copying = asyncio.create_task(workers.work([run]))
            for n in range(100):
                await stack.client.post(PATH + "?overwriteMode=replace", json={"_key": f"old{n % 20}", "n": n})
            await copying
            await stack.direct.post(PATH, json={"_key": "around"})
            await _verified(stack)  # copies it before it was judged
            assert await stack.differences(BOOKS) == []
            await watcher.wait_until_reported("around")
            await watcher.wait_until_judged()
            assert watcher.found == [("around", False)]
        await source.close()


async def test_the_out_of_band_gate_passes_once_a_watch_runs(dsn: str, tmp_path: Path) -> None:
    async with mirrored(dsn, tmp_path) as stack:
        assert (await _gate(stack)).figures == "no process watches"
        async with watched(stack) as watcher:
            await _verified(stack)
            await watcher.wait_until_judged()
            gate = await _gate(stack)
            assert (gate.verdict, gate.figures.startswith("none, watched since")) == ("pass", True)
            await stack.direct.post(PATH, json={"_key": "around"})
            await watcher.wait_until_reported("around")
            gate = await _gate(stack)
            assert (gate.verdict, gate.figures) == ("fail", "1 written out of band: around")
            status = (await shell(stack, "status"))[1]
            assert "out-of-band writes" in status
            assert "around" in status
            code, output = await shell(stack, "repair", BOOKS, "--dry-run")
            assert (code, "would repair 1 document" in output) == (0, True)
            code, output = await shell(stack, "repair", "books", "--json", "--reason", "a nightly job")
            assert (code, json.loads(output)["repaired"]) == (0, ["around"])
            assert "nothing to repair" in (await shell(stack, "repair", "books"))[1]
            assert (await shell(stack, "repair", "nobody"))[0] == 1
            assert (await shell(stack, "repair", "books", "old1", "around"))[0] == 0
            assert not [found for found in await stack.differences(BOOKS) if found.startswith(("around:", "old1:"))]
            assert (await _gate(stack)).verdict == "fail"  # repaired, and its writer may write on: verify once more
            await _verified(stack)
            await watcher.wait_until_judged()
            assert (await _gate(stack)).verdict == "pass"


async def test_uncaptured_writes_through_a_proxy_are_unverified_and_not_out_of_band(dsn: str, tmp_path: Path) -> None:
    """An opaque write comes through the proxy: its mark explains its revision until a verification covers it."""
    async with mirrored(dsn, tmp_path) as stack, watched(stack) as watcher:
        restored = {"_key": "old1", "_rev": "_meNUz2K--O", "x": 1}
        answer = await stack.client.post(f"{PATH}?isRestore=true&overwriteMode=replace", json=restored)
        assert answer.status_code in (201, 202), answer.text
        await stack.drained()
        assert await stack.database.fetchval("SELECT count(*) FROM _crossfade.unverified") == 1
        await watcher.wait_until_judged()
        assert watcher.found == []
        await _verified(stack)
        await stack.direct.patch(f"{PATH}/old1", json={"x": 2})
        await watcher.wait_until_reported("old1")


async def test_a_silent_instance_delays_the_judgement_of_out_of_band_writes(dsn: str, tmp_path: Path) -> None:
    async with mirrored(dsn, tmp_path) as stack, watched(stack) as watcher:
        reports = stack.application.mirror.reports
        assert reports._task is not None
        reports._task.cancel()  # it accepts writes, and reports nothing
        await asyncio.gather(reports._task, return_exceptions=True)
        await stack.client.post(PATH, json={"_key": "through"})
        await stack.direct.post(PATH, json={"_key": "around"})

        async def waits() -> bool:
            row = await watcher.row()
            return bool(row["pending"] == 2)

        await eventually(waits, "both wait")
        assert watcher.found == []
        await reports.start()
        await watcher.wait_until_reported("around")
        await watcher.wait_until_judged()
        assert watcher.found == [("around", False)]


async def test_a_finding_that_cannot_be_stored_is_retried(dsn: str, tmp_path: Path) -> None:
    async with mirrored(dsn, tmp_path) as stack, watched(stack) as watcher:
        await stack.database.execute(
            "CREATE SEQUENCE refused; CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
            "$$BEGIN PERFORM nextval('refused'); RAISE 'not now'; END$$; "
            "CREATE TRIGGER refuse BEFORE INSERT ON _crossfade.out_of_band_write FOR EACH ROW EXECUTE FUNCTION refuse()"
        )
        await stack.direct.post(PATH, json={"_key": "around"})

        async def refused() -> bool:
            return bool(await stack.database.fetchval("SELECT is_called FROM refused"))

        await eventually(refused, "PostgreSQL refused it")
        assert watcher.found == []
        await stack.database.execute("DROP TRIGGER refuse ON _crossfade.out_of_band_write")
        await watcher.wait_until_reported("around")
        assert await out_of_band.open_keys(stack.database, BOOKS) == ["around"]


async def test_open_findings_are_shown_before_repaired_ones(database: Database) -> None:
    await database.execute(
        "INSERT INTO _crossfade.out_of_band_write (collection, key, rev, removed, repaired_at) "
        "SELECT $1, 'k' || n, n, false, now() FROM generate_series(1, 10000) n",
        BOOKS,
    )
    found = ([BOOKS] * 2, ["k7", "new"], [20_000, 20_001], [False, False])
    await database.execute(sql.out_of_band.FOUND, *found)
    assert await out_of_band.open_keys(database, BOOKS) == ["k7", "new"]
    await database.execute(
        "UPDATE _crossfade.out_of_band_write SET found_at = now() - interval '1 day' WHERE key IN ('k7', 'new')"
    )
    shown = await database.fetch(sql.out_of_band.OUT_OF_BAND_WRITES, BOOKS)
    assert [(row.key, row.repaired) for row in shown[:2]] == [("k7", False), ("new", False)]
    await database.execute("UPDATE _crossfade.out_of_band_write SET repaired_at = NULL WHERE key <> 'k7'")
    await database.execute(sql.out_of_band.FOUND, [BOOKS] * 2, ["k7", "more"], [20_002, 20_003], [False, False])
    assert (await out_of_band.counts(database))[
        0
    ].number == 10_001  # an additional one is not reported; a known one is open again
    assert "k7" in await out_of_band.open_keys(database, BOOKS)


async def test_a_restarted_watch_resumes_at_its_position(dsn: str, tmp_path: Path) -> None:
    async with mirrored(dsn, tmp_path) as stack:
        async with watched(stack) as watcher:
            await watcher.wait_until_judged()
            since = (await watcher.row())["since"]
        await stack.client.post(PATH, json={"_key": "through"})
        await stack.direct.post(PATH, json={"_key": "meanwhile"})
        async with watched(stack) as watcher:
            await watcher.wait_until_reported("meanwhile")
            await watcher.wait_until_judged()
            assert watcher.found == [("meanwhile", False)]
            assert (await watcher.row())["since"] == since
        await stack.database.execute("UPDATE _crossfade.bypass_watch SET tick_at = tick_at - interval '1 hour'")
        async with watched(stack) as watcher:
            await watcher.wait_until_judged()
            assert (await watcher.row())["since"] > since  # too long ago: the writes in between are unknown


async def test_a_lost_origin_log_restarts_the_watch(dsn: str, tmp_path: Path) -> None:
    async with mirrored(dsn, tmp_path) as stack, watched(stack) as watcher:
        await watcher.wait_until_judged()
        since = (await watcher.row())["since"]
        stack.origin.store.server.log.lost = 1 << 62

        async def restarted() -> bool:
            return bool((await watcher.row())["since"] > since)

        await eventually(restarted, "the watch has restarted")
        stack.origin.store.server.log.lost = 0


@pytest.mark.parametrize("through", [True, False])
async def test_without_a_log_new_revisions_are_found_by_scans(dsn: str, tmp_path: Path, through: bool) -> None:
    async with mirrored(dsn, tmp_path) as stack, watched(stack, scans=True) as watcher:
        assert (await watcher.row())["mode"] == "scan"
        await watcher.wait_until_judged()
        await (stack.client if through else stack.direct).post(PATH, json={"_key": "new"})
        if not through:
            await watcher.wait_until_reported("new")
        await watcher.wait_until_judged()
        await watcher.wait_until_judged()
        assert watcher.found == ([] if through else [("new", False)])


async def test_a_second_watch_waits_and_takes_over(dsn: str, tmp_path: Path, database: Database) -> None:
    async with mirrored(dsn, tmp_path) as stack:
        async with watched(stack) as first:
            second = Watcher(stack)
            await stack.direct.post(PATH, json={"_key": "one"})
            await first.wait_until_reported("one")
            assert second.found == []
        await stack.direct.post(PATH, json={"_key": "two"})
        await second.wait_until_reported("two")
        assert second.found == [("two", False)]
        await second.close()
