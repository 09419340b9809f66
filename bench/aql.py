"""AQL: the time to parse and compile a query, and a list query in SQL beside the same written by hand.

    python -m bench.aql [--corpus FILE] [--documents 1000000] [--sizes 100000] [--rounds 300] [--scan 500000] [--json]

Understanding: parse and analyse the median query of a corpus, and the same text again; compile it, and again.

The list query (a user's documents, newest first, twenty of them; as many documents a user whatever the size), with the
index that `crossfade explain` names: PostgreSQL's own execution time of the compiled statement (EXPLAIN ANALYZE) beside
that of two written by hand, rounds alternating, medians compared:

    by hand    the same semantics on the same index: type-exact equality, AQL's order of all types, ICU's of strings
    as text    a statement that relies on both attributes always being strings, on a dedicated index

then the times by the driver, through the listener and the store that serves clients from PostgreSQL, and through the
whole proxy with the collection flipped: routing, permissions, the fence in the statement. `--sizes` adds tables of such
sizes, to show that the time does not grow with the table. `--scan N` reads a result of N documents through the listener
and the store, batch after batch, and shows by how much the serving process grows.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import orjson

import sql
from deploy.demo.postgres import EmbeddedPostgres
from deploy.demo.stack import Stack, StackOptions
from proxy.aql import analyse, ast, parse
from proxy.aql.compile import Compiled, CompiledTable, CompiledTables, compile_query
from proxy.base.errors import ArangoError
from proxy.cli.explain import examine
from proxy.http import Upstream
from proxy.model.message import Request
from proxy.operator import migrate
from proxy.stores.postgres.evaluation import parsed
from tests.ad_hoc import Database

_CORPUS = Path("../shared/conformance/aql-corpus.jsonl")
_SAMPLE_QUERIES = [
    "FOR d IN resumes FILTER d.user_id == @user SORT d.created_at DESC LIMIT 20 RETURN d",
    "FOR d IN jobs FILTER d.company == @c AND d.year >= 2020 RETURN {id: d._key, title: d.title, tags: d.tags[*].name}",
    "FOR u IN users FOR o IN orders FILTER o.user == u._key COLLECT c = u.city AGGREGATE s = SUM(o.n) RETURN {c, s}",
]
_LIST_QUERY = "FOR d IN {} FILTER d.user_id == @user SORT d.created_at DESC LIMIT 20 RETURN d"
_DOCUMENTS_PER_USER = 100  # documents
_BY_HAND = """SELECT raw::text FROM {relation} WHERE doc -> 'user_id' = $1::jsonb
ORDER BY _crossfade.order_key(doc, 'created_at') DESC LIMIT 20"""
_AS_TEXT = """SELECT raw::text FROM {relation} WHERE doc ->> 'user_id' = $1
ORDER BY (doc ->> 'created_at') COLLATE _crossfade.aql DESC LIMIT 20"""
_TEXT_INDEX = "CREATE INDEX ON {relation} ((doc ->> 'user_id'), ((doc ->> 'created_at') COLLATE _crossfade.aql))"


def time_parsing(corpus: Path) -> dict[str, float]:
    """Return microseconds of the median text, first and again, and of compiling those that compile."""
    texts = _SAMPLE_QUERIES
    if corpus.is_file():
        texts = [json.loads(line)["query"] for line in corpus.read_text("utf-8").splitlines()]
    first, again, compiled, kept = [], [], [], []
    for text in texts:
        query = parsed(text)
        names = {node.name: "c" for node in ast.walk(query) if isinstance(node, ast.Parameter)}
        names |= {f"@{node.name}": "c" for node in ast.walk(query) if isinstance(node, ast.Parameter) and node.source}
        names = {name: value for name, value in names.items() if f"@{name}" in text}
        try:
            started = time.perf_counter()
            analysis = analyse(parse(text), names)
            first.append(time.perf_counter() - started)
        except ArangoError:  # an unknown function
            continue
        again.append(_repeated(partial(_understood, text, names)))
        tables = CompiledTables(
            {name: CompiledTable(f"bench.{number}") for number, name in enumerate(sorted(analysis.reads))}
        )
        started = time.perf_counter()
        statement = compile_query(query, names, tables)
        took = time.perf_counter() - started
        if isinstance(statement, Compiled):
            compiled.append(took)
            kept.append(_repeated(partial(compile_query, query, names, tables)))
    return {
        "texts": len(first),
        "parse_analyse_us": statistics.median(first) * 1e6,
        "seen_before_us": statistics.median(again) * 1e6,
        "compiled": len(compiled),
        "compile_us": statistics.median(compiled) * 1e6,
        "compiled_before_us": statistics.median(kept) * 1e6,
    }


def _understood(text: str, names: dict[str, str]) -> None:
    analyse(parsed(text), names)


def _repeated(action: Callable[[], Any]) -> float:
    """Return seconds of the median of ten runs, after a warm-up run."""
    action()
    rounds = []
    for _ in range(10):
        started = time.perf_counter()
        action()
        rounds.append(time.perf_counter() - started)
    return statistics.median(rounds)


async def fill(database: Database, name: str, number: int) -> CompiledTable:
    """Create a collection of that many documents, `_DOCUMENTS_PER_USER` for each user, and their index."""
    row = await database.fetchrow("SELECT relation FROM _crossfade.ensure_collection('bench', $1, false)", name)
    assert row is not None
    relation = row["relation"]
    users = max(1, number // _DOCUMENTS_PER_USER)
    await database.execute(
        f"""INSERT INTO {relation} (key, rev, raw, doc)
        SELECT 'k' || n, n, format('{{"_key":"k%s","_id":"{name}/k%s","_rev":"_a","user_id":"u%s","created_at":"%s",
        "title":"%s","size":%s}}', n, n, n % {users}, at, pad, n)::json,
        jsonb_build_object('user_id', 'u' || n % {users}, 'created_at', at, 'title', pad, 'size', n)
        FROM (SELECT n, to_char(timestamp '2020-01-01' + n * interval '7 minutes', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS at,
        repeat(md5(n::text), 6) AS pad FROM generate_series(1, {number}) n) made"""
    )
    explained = await examine(database, "bench", _LIST_QUERY.format(name), {"user": "u0"})
    for advice in explained.indexes:
        await database.execute(advice.statement)
    await database.execute(_TEXT_INDEX.format(relation=relation))
    await database.execute(f"VACUUM ANALYZE {relation}")
    indexed = await database.fetchval(sql.store.INDEXED, relation)
    return CompiledTable(relation, indexed=frozenset(indexed))


async def time_alternately(rounds: int, *actions: Callable[[int], Awaitable[Any]]) -> list[float]:
    """Return the median of each action, in microseconds."""
    times: list[list[float]] = [[] for _ in actions]
    for number in range(rounds + 20):
        for samples, action in zip(times, actions, strict=True):
            started = time.perf_counter()
            await action(number)
            samples.append(time.perf_counter() - started)
    return [statistics.median(mine[20:]) * 1e6 for mine in times]


async def execution_times(
    database: Database, rounds: int, *statements: tuple[str, Callable[[int], Any]]
) -> list[float]:
    """Return PostgreSQL's execution time of each statement in microseconds: the median of rounds in changing order."""
    times: list[list[float]] = [[] for _ in statements]
    for number in range(rounds + 40):
        order = list(range(len(statements)))
        random.shuffle(order)
        for place in order:
            sql, parameters = statements[place]
            rows = await database.fetch(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {sql}", *parameters(number))
            times[place].append(orjson.loads(rows[0][0])[0]["Execution Time"])
    return [statistics.median(mine[40:]) * 1e3 for mine in times]


@contextlib.asynccontextmanager
async def serve_from_postgres(dsn: str) -> AsyncIterator[tuple[Upstream, int]]:
    """Start a process that serves from PostgreSQL; return a client of it, and its process id."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.serving", dsn, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdin is not None
    client = Upstream(f"http://127.0.0.1:{int(await process.stdout.readline())}", connections=1)
    try:
        yield client, process.pid
    finally:
        await client.close()
        process.stdin.close()
        await process.wait()


async def scan(dsn: str, name: str, number: int) -> dict[str, Any]:
    """Read that many documents through the listener in batches; return by how much the serving process grows."""
    text = f"FOR d IN {name} LIMIT {number} RETURN d"
    async with serve_from_postgres(dsn) as (client, pid):

        async def ask(method: str, path: str, body: bytes) -> dict[str, Any]:
            answer = await client.request(Request(method, f"/_db/bench/_api/cursor{path}".encode(), [], body))
            assert isinstance(answer.body, bytes)
            found: dict[str, Any] = orjson.loads(answer.body)
            assert not found["error"], found
            return found

        await ask("POST", "", orjson.dumps({"query": f"FOR d IN {name} LIMIT 1000 RETURN d"}))
        before = largest = resident(pid)
        started = time.perf_counter()
        page = await ask("POST", "", orjson.dumps({"query": text, "batchSize": 1000}))
        rows, size = 0, 0
        while True:
            rows += len(page["result"])
            size += sum(len(row["title"]) for row in page["result"])
            largest = max(largest, resident(pid))
            if not page["hasMore"]:
                break
            page = await ask("POST", f"/{page['id']}", b"")
        took = time.perf_counter() - started
    return {"rows": rows, "seconds": took, "before_mib": before, "grown_mib": largest - before}


def resident(pid: int) -> float:
    """Return the resident memory of a process in MiB."""
    fields = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    return int(next(line for line in fields if line.startswith("VmRSS")).split()[1]) / 1024


async def ask(
    client: Upstream, method: str, path: str, body: object = None, *, allowed: int = 201, explain: bool = True
) -> tuple[bytes, str]:
    """Return the answer's body and the answering store. Raise RuntimeError for a status above `allowed`."""
    body_bytes = b"" if body is None else orjson.dumps(body)
    headers = [(b"x-crossfade-explain", b"1")] if explain else []
    answer = await client.request(Request(method, path.encode(), headers, body_bytes))
    assert isinstance(answer.body, bytes)
    if answer.status > allowed:
        raise RuntimeError(f"{method} {path}: {answer.status} {answer.body.decode()}")
    return answer.body, (answer.header(b"x-crossfade-served-by") or b"").decode()


async def flip(client: Upstream, name: str) -> None:
    """Create a collection that this stack serves from PostgreSQL from the start.

    It is checked by reading a missing document: a query would cache the table's indexes for a while.
    """
    await ask(client, "POST", "/_db/bench/_api/collection", {"name": name})
    until = time.monotonic() + 30
    while (await ask(client, "GET", f"/_db/bench/_api/document/{name}/none", allowed=404))[1] != "postgresql":
        if time.monotonic() > until:
            raise RuntimeError(f"{name} is not served from PostgreSQL")
        await asyncio.sleep(0.05)


async def list_query(
    database: Database, dsn: str, proxy: Upstream, name: str, number: int, rounds: int
) -> dict[str, Any]:
    """Measure the list query on a table of that size. proxy: the whole one, with the collection flipped."""
    await flip(proxy, name)
    started = time.perf_counter()
    table = await fill(database, name, number)
    loaded = time.perf_counter() - started
    users = max(1, number // _DOCUMENTS_PER_USER)
    text = _LIST_QUERY.format(name)
    query, tables = parse(text), CompiledTables({name: table})
    sample = compile_query(query, {"user": "u0"}, tables)
    if not isinstance(sample, Compiled):
        raise SystemExit(f"the list query does not compile: {sample.reason}")
    by_hand, as_text = _BY_HAND.format(relation=table.relation), _AS_TEXT.format(relation=table.relation)

    def user(n: int) -> str:
        return f"u{n * 7 % min(users, 50)}"

    def parameters(n: int) -> tuple[object, ...]:
        compiled = compile_query(query, {"user": user(n)}, tables)
        assert isinstance(compiled, Compiled)
        return compiled.parameters

    def quoted(n: int) -> tuple[object, ...]:
        return (orjson.dumps(user(n)).decode(),)

    compiled_us, hand_us, text_us = await execution_times(
        database, rounds, (sample.sql, parameters), (by_hand, quoted), (as_text, lambda n: (user(n),))
    )

    async def compiled(n: int) -> Any:
        return await database.fetch(sample.sql, *parameters(n))

    async def hand(n: int) -> Any:
        return await database.fetch(by_hand, *quoted(n))

    one, other = await compiled(3), await hand(3)
    same = [row[1] for row in one] == [row[0] for row in other]
    async with serve_from_postgres(dsn) as (client, _):

        async def through(n: int) -> bytes:
            body = orjson.dumps({"query": text, "bindVars": {"user": user(n)}})
            answer = await client.request(Request("POST", b"/_db/bench/_api/cursor", [], body))
            assert answer.status == 201
            assert isinstance(answer.body, bytes)
            return answer.body

        async def whole(n: int, *, explain: bool = False) -> tuple[bytes, str]:
            body = {"query": text, "bindVars": {"user": user(n)}}
            return await ask(proxy, "POST", "/_db/bench/_api/cursor", body, explain=explain)

        expected = [orjson.loads(row[0]) for row in other]
        flipped, by = await whole(3, explain=True)
        assert by == "postgresql"
        same = same and orjson.loads(await through(3))["result"] == expected == orjson.loads(flipped)["result"]
        driver_us, through_us, whole_us, beside_us = await time_alternately(rounds, compiled, through, whole, hand)
    return {
        "documents": number,
        "loaded_s": loaded,
        "same_rows": same,
        "compiled_us": compiled_us,
        "by_hand_us": hand_us,
        "as_text_us": text_us,
        "compiled_ratio": compiled_us / hand_us,
        "as_text_ratio": compiled_us / text_us,
        "driver_us": driver_us,
        "driver_by_hand_us": beside_us,
        "through_us": through_us,
        "through_ratio": through_us / beside_us,
        "flipped_us": whole_us,
        "flipped_ratio": whole_us / beside_us,
    }


async def measured(given: argparse.Namespace) -> dict[str, Any]:
    report: dict[str, Any] = {"understanding": time_parsing(given.corpus), "lists": []}
    sizes = [given.documents, *(int(size) for size in given.sizes.split(",") if size)]
    with (
        EmbeddedPostgres(options={"fsync": "off", "shared_buffers": given.buffers, "max_wal_size": "4GB"}) as server,
    ):
        database = await Database.open(server.dsn, size=1, timeout=None)
        try:
            await migrate.apply(database)
            settings = {"CROSSFADE_SAMPLE_PERCENT": "0", "CROSSFADE_LOG_LEVEL": "warning"}
            stack = Stack(StackOptions.free(stage="flipped", dsn=server.dsn, settings=settings))
            await asyncio.to_thread(stack.start)
            proxy = Upstream(stack.url, connections=1)
            try:
                await ask(proxy, "POST", "/_api/database", {"name": "bench"})
                for number in sizes:
                    name = f"docs{number}"
                    report["lists"].append(await list_query(database, server.dsn, proxy, name, number, given.rounds))
            finally:
                await proxy.close()
                await asyncio.to_thread(stack.stop)
            most = max(sizes)
            if given.scan:
                report["scan"] = await scan(server.dsn, f"docs{most}", min(most, given.scan))
        finally:
            await database.close()
    return report


def show(report: dict[str, Any]) -> None:
    found = report["understanding"]
    print(
        f"parse + analyse, median of {found['texts']} texts: {found['parse_analyse_us']:.0f} µs;"
        f" seen before: {found['seen_before_us']:.2f} µs"
    )
    print(
        f"compile, median of {found['compiled']}: {found['compile_us']:.0f} µs;"
        f" compiled before: {found['compiled_before_us']:.1f} µs"
    )
    for one in report["lists"]:
        print(
            f"{one['documents']} documents (loaded in {one['loaded_s']:.0f} s): executed {one['compiled_us']:.0f} µs, "
            f"by hand {one['by_hand_us']:.0f} µs: {one['compiled_ratio']:.2f}x, "
            f"as text {one['as_text_us']:.0f} µs: {one['as_text_ratio']:.2f}x; same rows: {one['same_rows']}"
        )
        print(
            f"    by the driver {one['driver_us']:.0f} µs, by hand {one['driver_by_hand_us']:.0f} µs; "
            f"served {one['through_us']:.0f} µs: {one['through_ratio']:.2f}x; "
            f"by the whole proxy, flipped, {one['flipped_us']:.0f} µs: {one['flipped_ratio']:.2f}x"
        )
    if "scan" in report:
        one = report["scan"]
        print(
            f"{one['rows']} documents read in batches of 1000 in {one['seconds']:.1f} s: the process of "
            f"{one['before_mib']:.0f} MiB grew by {one['grown_mib']:.1f} MiB"
        )
    sizes = sorted(report["lists"], key=lambda one: int(one["documents"]))
    if len(sizes) > 1:
        first, last = sizes[0], sizes[-1]
        grown = last["compiled_us"] / first["compiled_us"]
        print(f"{last['documents']} documents beside {first['documents']}: {grown:.2f}x")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, default=_CORPUS)
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--sizes", default="100000", help="further sizes, by commas")
    parser.add_argument("--scan", type=int, default=500_000, help="documents of the result that is read whole; 0: none")
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--buffers", default="256MB", help="PostgreSQL's shared_buffers")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    result = asyncio.run(measured(arguments))
    print(json.dumps(result)) if arguments.json else show(result)
    sys.exit(0)
