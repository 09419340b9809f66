"""Coverage with real servers: every read is seen, whatever the stage and the sampling (I9)."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import structlog
from typer.testing import CliRunner

import proxy.cli
from proxy.base.errors import DatabaseUnavailable
from proxy.control import gate_inputs, thresholds
from proxy.control.gates.gate_types import Gate
from proxy.model.stages import CollectionState, Stage
from proxy.operator import shapes
from proxy.operator.shapes import State
from proxy.routing.query_shapes import OTHER, Shape
from proxy.shadow.shape_coverage import Coverage
from proxy.shadow.verdicts import MATCH, UNSUPPORTED, ReadVerdict
from tests.ad_hoc import Database
from tests.harness import Running, running

BOOKS = "_system/books"
QUERY = "FOR b IN books FILTER b.year == 1999 SORT b._key RETURN b"
SHAPE = "FOR b IN books FILTER b . year == ? SORT b . _key RETURN b"


async def _mirrored(stack: Running, stage: Stage = Stage.MIRROR) -> None:
    await stack.direct.post("/_api/collection", json={"name": "books"})
    await stack.move(CollectionState(Stage.MIRROR), BOOKS)
    if stage is not Stage.MIRROR:
        await stack.move(CollectionState(stage), BOOKS)
    await stack.client.post("/_api/document/books", json=[{"_key": f"k{n}", "year": 1990 + n} for n in range(10)])
    await stack.drained()


async def _ask(stack: Running, text: str) -> int:
    return (await stack.client.post("/_api/cursor", json={"query": text})).status_code


async def _account(stack: Running) -> dict[str, shapes.ShapeReport]:
    await stack.application.shadow.idle()
    await stack.application.coverage.flush()
    return {row.text: row for row in await shapes.listed(stack.database, [BOOKS])}


async def _gates(stack: Running) -> dict[str, Gate]:
    return {gate.name: gate for gate in (await gate_inputs.judge(stack.database, stack.settings, [BOOKS]))[BOOKS]}


async def shell(stack: Running, *arguments: str) -> tuple[int, str]:
    """Run `crossfade …`; return its exit code, and what it printed followed by its log."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    environment = {"CROSSFADE_DSN": stack.dsn, "CROSSFADE_ORIGIN": stack.origin.url, "COLUMNS": "250"}
    app, _ = proxy.cli.build()
    try:
        done = await asyncio.to_thread(CliRunner().invoke, app, arguments, env=environment)
    finally:
        structlog.reset_defaults()
    return done.exit_code, done.stdout + done.stderr


async def test_reads_are_seen_before_anything_is_compared(dsn: str, tmp_path: Path) -> None:
    """At stage mirror nothing is compared, but the gates already know the query shapes."""
    async with running(dsn, tmp_path) as stack:
        await _mirrored(stack)
        for _ in range(3):
            await stack.client.get("/_api/document/books/k1")
        assert await _ask(stack, QUERY) == 201
        assert await _ask(stack, QUERY.replace("1999", "2001")) == 201
        await stack.client.get("/_api/document/nobody_mirrors_this/k1")
        account = await _account(stack)
        seen = {text: (row.seen, row.compared, dict(row.reasons)) for text, row in account.items()}
        assert seen == {
            "document.read": (3, 0, {"stage before shadow": 3}),
            SHAPE: (2, 0, {"stage before shadow": 2}),
        }
        assert await shapes.listed(stack.database, ["_system/nobody_mirrors_this"]) == []
        covered = (await _gates(stack))["every query compared"]
        assert (covered.verdict, "2 of 2 never" in covered.figures) == ("inconclusive", True)


async def test_without_sampling_reads_are_seen_and_never_compared(dsn: str, tmp_path: Path) -> None:
    async with running(dsn, tmp_path, sample_percent=0) as stack:
        await _mirrored(stack, Stage.SHADOW)
        for _ in range(5):
            await stack.client.get("/_api/document/books/k1")
        row = (await _account(stack))["document.read"]
        assert (row.seen, row.compared, dict(row.reasons)) == (5, 0, {"sampled out": 5})
        advice = shapes.advise(row, await thresholds.read(stack.database))
        assert (advice.state, "CROSSFADE_SAMPLE_PERCENT" in advice.do) == (State.NEVER, True)


async def test_exempting_a_query_and_lowering_a_limit_makes_the_gates_pass(dsn: str, tmp_path: Path) -> None:
    async with running(dsn, tmp_path) as stack:
        await _mirrored(stack, Stage.SHADOW)
        for _ in range(6):
            await stack.client.get("/_api/document/books/k1")
        await _ask(stack, QUERY)
        await _ask(stack, "FOR b IN books SORT RAND() LIMIT 1 RETURN b._key")
        account = await _account(stack)
        read, chance = account["document.read"], next(row for text, row in account.items() if "RAND" in text)
        assert (read.seen, read.compared, read.matched, read.fact.timed) == (6, 6, 6, 6)
        assert read.target_p99 is not None
        assert (chance.compared, dict(chance.reasons)) == (0, {"not deterministic": 1})

        code, out = await shell(stack, "queries", BOOKS)
        assert (code, "never compared" in out, "ArangoDB answers it after a flip as well" in out) == (0, True, True)
        assert (await _gates(stack))["every query compared"].verdict == "inconclusive"
        code, out = await shell(stack, "queries", "exempt", chance.shape)
        assert (code, "needs --reason" in out) == (1, True)
        assert (await shell(stack, "queries", "exempt", "no-such-shape", "--reason", "x"))[0] == 1
        assert (await shell(stack, "queries", "exempt", chance.shape, "--reason", "a lottery", "--actor", "ann"))[
            0
        ] == 0
        gates = await _gates(stack)
        assert (gates["every query compared"].verdict, gates["every query compared"].figures) == (
            "pass",
            "3 seen, 1 exempt",
        )
        assert gates["sample size per query"].verdict == "inconclusive"

        limits = ("gates", "limits")
        assert (await shell(stack, *limits, "set", "shape_comparisons", "0", "--reason", "x"))[0] == 1
        assert (await shell(stack, *limits, "set", "shape_comparison", "9", "--reason", "x"))[0] == 1
        assert (await shell(stack, *limits, "set", "shape_comparisons", "9"))[0] == 1
        assert (await shell(stack, *limits, "set", "shape_comparisons", "1", "--reason", "a quiet service"))[0] == 0
        assert (await _gates(stack))["sample size per query"].verdict == "pass"
        assert "a quiet service" in (await shell(stack, "gates", "limits"))[1]
        listed = json.loads((await shell(stack, "gates", "limits", "--json"))[1])
        assert {one["name"] for one in listed} == set(thresholds.MEANINGS)
        assert (await shell(stack, "gates", "limits", "reset", "shape_comparisons"))[0] == 0
        assert (await shell(stack, "gates", "limits", "reset", "shape_comparisons"))[0] == 1
        assert (await _gates(stack))["sample size per query"].verdict == "inconclusive"

        code, out = await shell(stack, "queries", "--json")
        by_text = {row["text"]: row for row in json.loads(out)}
        assert by_text[chance.text]["exempt_by"] == "ann"
        assert by_text["document.read"]["state"] == "too few"
        assert (await shell(stack, "queries", "unexempt", chance.shape, "--collection", "books"))[0] == 0
        assert (await shell(stack, "queries", "unexempt", chance.shape))[0] == 1
        assert (await _gates(stack))["every query compared"].verdict == "inconclusive"
        actions = [
            row["action"] for row in await stack.database.fetch("SELECT action FROM _crossfade.audit ORDER BY id")
        ]
        assert actions[-4:] == ["exempt query", "set limit", "reset limit", "unexempt query"]
        assert (await shell(stack, "audit", "--verify"))[0] == 0

        assert (await shell(stack, "queries", "reset", "books", "--reason", "an index"))[0] == 0
        row = (await _account(stack))["document.read"]
        assert (row.compared, row.fact.recent, row.fact.timed, row.target_p99) == (6, 0, 0, None)
        await stack.client.get("/_api/document/books/k1")
        row = (await _account(stack))["document.read"]
        assert (row.compared, row.fact.recent, row.fact.timed) == (7, 1, 1)


async def test_a_shape_that_postgresql_cannot_run_blocks_until_it_is_exempt(database: Database) -> None:
    await database.execute("SELECT _crossfade.ensure_collection('shop', 'orders')")
    await database.execute("UPDATE _crossfade.collection SET stage = 'shadow'")
    coverage, shape = Coverage(database), Shape("7f3a", "FOR d IN orders RETURN PREGEL(d)")
    coverage.query("shop", b'{"query": "FOR d IN orders RETURN PREGEL(d)"}', frozenset({"orders"}), "x")
    coverage(ReadVerdict(shape, ("shop/orders",), UNSUPPORTED))
    await coverage.close()
    await database.execute("INSERT INTO _crossfade.shape (collection, shape, text) VALUES ('shop/orders', '7f3a', 'x')")
    found = await gate_inputs.read(database, "shop/orders")
    assert found is not None
    assert found.unsupported == ("x",)
    await shapes.exempt(database, "7f3a", "shop/orders", actor="ann", reason="old")
    found = await gate_inputs.read(database, "shop/orders")
    assert found is not None
    assert found.unsupported == ()


async def test_comparisons_from_before_a_reset_do_not_count(database: Database) -> None:
    """They may be of the documents as they were before a repair: fewer comparisons, never more."""
    await database.execute("SELECT _crossfade.ensure_collection('shop', 'orders')")
    now = time.monotonic()
    coverage = Coverage(database, clock=lambda: now)
    shape = Shape("document.read", "document.read")
    coverage(ReadVerdict(shape, ("shop/orders",), MATCH, "", (0.001,), 0.002))
    now += 60  # it waited, as when PostgreSQL was away, and the collection is younger
    await coverage.flush()
    assert await database.fetchval("SELECT count(*) FROM _crossfade.coverage") == 0
    coverage(ReadVerdict(shape, ("shop/orders",), MATCH, "", (0.001,), 0.002))
    await coverage.flush()
    assert await database.fetchval("SELECT compared FROM _crossfade.coverage") == 1


class _Failing:
    """A PostgreSQL that becomes unreachable in the middle of a statement."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.away = True

    def __getattr__(self, name: str) -> Any:
        if self.away:
            raise DatabaseUnavailable("gone")
        return getattr(self._database, name)


async def test_seen_shapes_survive_an_outage_in_bounded_memory(database: Database) -> None:
    await database.execute("SELECT _crossfade.ensure_collection('shop', 'orders')")
    await database.execute("UPDATE _crossfade.collection SET stage = 'mirror'")
    line = _Failing(database)
    coverage = Coverage(line)  # type: ignore[arg-type]
    for _ in range(3):
        coverage.read("shop/orders", "document.read", "x")
        try:
            await coverage.flush()
        except DatabaseUnavailable:
            continue
        raise AssertionError("it was there")
    for number in range(20_000):
        coverage.read(f"shop/made-up-{number}", "document.read", "x")
        coverage.query("shop", b'{"query": "RETURN %d"}' % number, frozenset({"orders"}), "x")
        coverage(ReadVerdict(Shape(str(number), ""), ("shop/orders",), MATCH))
    assert len(coverage._reads) + len(coverage._texts) + len(coverage._windows) < 11_100
    line.away = False
    await coverage.flush()
    rows = await database.fetch("SELECT collection, shape, seen FROM _crossfade.shape ORDER BY seen")
    found = {(row["collection"], row["shape"]): row["seen"] for row in rows}
    assert found["shop/orders", "document.read"] == 3
    assert sum(found.values()) >= 20_003  # shapes above the limit count for the database as not parsed
    compared = await database.fetchval("SELECT sum(compared) FROM _crossfade.coverage")
    assert compared == 20_000
    assert await database.fetchval("SELECT count(*) FROM _crossfade.coverage WHERE shape = $1", OTHER.name) == 1
