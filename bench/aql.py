"""AQL: how long a query takes to be understood, and a list query in SQL beside the same written by hand.

    python -m bench.aql [--corpus FILE] [--documents 50000] [--sizes 100000,10000000] [--rounds 300] [--json]

Understanding: parse and analyse of the median query of a corpus, and the same text once more. The list query (a user's
documents, newest first, twenty of them): the compiled statement beside SQL written by hand over the same table and
indexes, and through the whole proxy with PostgreSQL answering, beside that SQL by the driver alone. Rounds alternate;
medians are compared. `--sizes` adds tables of these sizes, with as many documents a user, to show that the time does
not grow with the table.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson

from deploy.demo.postgres import EmbeddedPostgres
from proxy.aql import analyse, ast, parse
from proxy.aql.compile import Compiled, Table, Tables, compile_query
from proxy.cutover import migrate
from proxy.database import Database
from proxy.errors import ArangoError
from proxy.http import Limits, Listener, Upstream
from proxy.serve import StoreHandler
from proxy.stores.postgres import PostgresStore
from proxy.stores.postgres.queries import parsed
from proxy.wire.message import Request

_CORPUS = Path("../shared/conformance/aql-corpus.jsonl")
_OWN = [
    "FOR d IN resumes FILTER d.user_id == @user SORT d.created_at DESC LIMIT 20 RETURN d",
    "FOR d IN jobs FILTER d.company == @c AND d.year >= 2020 RETURN {id: d._key, title: d.title, tags: d.tags[*].name}",
    "FOR u IN users FOR o IN orders FILTER o.user == u._key COLLECT c = u.city AGGREGATE s = SUM(o.n) RETURN {c, s}",
]
_LIST = "FOR d IN {} FILTER d.user_id == @user SORT d.created_at DESC LIMIT 20 RETURN d"
_A_USER = 100  # documents
# what somebody would write who knows the table, its index, and that all these values are texts
_BY_HAND = """SELECT raw::text FROM {relation} WHERE doc @> $1::jsonb
ORDER BY doc ->> 'created_at' COLLATE crossfade.aql DESC LIMIT 20"""


def understanding(corpus: Path) -> dict[str, float]:
    """Microseconds of the median text: first time, and again."""
    texts = _OWN
    if corpus.is_file():
        texts = [json.loads(line)["query"] for line in corpus.read_text("utf-8").splitlines()]
    first, again = [], []
    for text in texts:
        query = parsed(text)
        names = {node.name: "c" for node in ast.walk(query) if isinstance(node, ast.Parameter)}
        try:
            began = time.perf_counter()
            analyse(parse(text), names)
            first.append(time.perf_counter() - began)
        except ArangoError:  # a function that nobody has
            continue
        analyse(query, names)
        rounds = []
        for _ in range(10):
            began = time.perf_counter()
            analyse(parsed(text), names)
            rounds.append(time.perf_counter() - began)
        again.append(statistics.median(rounds))
    return {
        "texts": len(first),
        "parse_analyse_us": statistics.median(first) * 1e6,
        "seen_before_us": statistics.median(again) * 1e6,
    }


async def fill(database: Database, name: str, number: int) -> Table:
    """A collection of that many documents, `_A_USER` of each user, of about 400 bytes, and their index."""
    row = await database.fetchrow("SELECT relation FROM crossfade.ensure_collection('bench', $1, false)", name)
    assert row is not None
    relation = row["relation"]
    users = max(1, number // _A_USER)
    await database.execute(
        f"""INSERT INTO {relation} (key, rev, raw, doc)
        SELECT 'k' || n, n, format('{{"_key":"k%s","_id":"{name}/k%s","_rev":"_a","user_id":"u%s","created_at":"%s",
        "title":"%s","size":%s}}', n, n, n % {users}, at, pad, n)::json,
        jsonb_build_object('user_id', 'u' || n % {users}, 'created_at', at, 'title', pad, 'size', n)
        FROM (SELECT n, to_char(timestamp '2020-01-01' + n * interval '7 minutes', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS at,
        repeat(md5(n::text), 6) AS pad FROM generate_series(1, {number}) n) made"""
    )
    statement = await database.fetchval("SELECT crossfade.index_statement($1)", f"bench/{name}")
    await database.execute(statement)
    await database.execute(f"VACUUM ANALYZE {relation}")
    return Table(relation)


async def alternately(rounds: int, *actions: Callable[[int], Awaitable[Any]]) -> list[float]:
    """The median of each action, in microseconds."""
    times: list[list[float]] = [[] for _ in actions]
    for number in range(rounds + 20):
        for mine, action in zip(times, actions, strict=True):
            began = time.perf_counter()
            await action(number)
            mine.append(time.perf_counter() - began)
    return [statistics.median(mine[20:]) * 1e6 for mine in times]


async def list_query(database: Database, dsn: str, name: str, number: int, rounds: int) -> dict[str, Any]:
    """The list query on a table of that size."""
    began = time.perf_counter()
    table = await fill(database, name, number)
    loaded = time.perf_counter() - began
    users = max(1, number // _A_USER)
    text = _LIST.format(name)
    tables = Tables({name: table})
    sample = compile_query(parse(text), {"user": "u0"}, tables)
    if not isinstance(sample, Compiled):
        raise SystemExit(f"the list query does not compile: {sample.reason}")
    query = parse(text)
    by_hand = _BY_HAND.format(relation=table.relation)

    began = time.perf_counter()
    statements: dict[int, tuple[object, ...]] = {}
    for user in range(min(users, rounds + 20)):
        made = compile_query(query, {"user": f"u{user}"}, tables)
        assert isinstance(made, Compiled)
        assert made.sql == sample.sql
        statements[user] = made.parameters
    compile_us = (time.perf_counter() - began) / len(statements) * 1e6

    async def compiled(n: int) -> Any:
        return await database.fetch(sample.sql, *statements[n % len(statements)])

    async def hand(n: int) -> Any:
        return await database.fetch(by_hand, orjson.dumps({"user_id": f"u{n % len(statements)}"}).decode())

    one, other = await compiled(3), await hand(3)
    same = [row[1] for row in one] == [row[0] for row in other]
    statement_us, hand_us = await alternately(rounds, compiled, hand)

    pool = await Database.open(dsn, size=4)
    store = PostgresStore(pool)
    listener = Listener(StoreHandler(store), host="127.0.0.1", port=0, limits=Limits())
    await listener.start()
    client = Upstream(f"http://127.0.0.1:{listener.port}", connections=1)
    try:

        async def through(n: int) -> bytes:
            body = orjson.dumps({"query": text, "bindVars": {"user": f"u{n % users}"}})
            answer = await client.request(Request("POST", b"/_db/bench/_api/cursor", [], body))
            assert answer.status == 201
            assert isinstance(answer.body, bytes)
            return answer.body

        rows = orjson.loads(await through(3))["result"]
        same = same and [orjson.loads(row[0]) for row in other] == rows
        through_us, beside_us = await alternately(rounds, through, hand)
    finally:
        await client.close()
        await listener.close(1.0)
        await store.close()
        await pool.close()
    return {
        "documents": number,
        "loaded_s": loaded,
        "same_rows": same,
        "compiled_us": statement_us,
        "by_hand_us": hand_us,
        "compile_us": compile_us,
        "compiled_ratio": statement_us / hand_us,
        "through_us": through_us,
        "through_ratio": through_us / beside_us,
    }


async def measured(given: argparse.Namespace) -> dict[str, Any]:
    report: dict[str, Any] = {"understanding": understanding(given.corpus), "lists": []}
    sizes = [given.documents, *(int(size) for size in given.sizes.split(",") if size)]
    with (
        tempfile.TemporaryDirectory(),
        EmbeddedPostgres(options={"fsync": "off", "shared_buffers": given.buffers, "max_wal_size": "4GB"}) as server,
    ):
        database = await Database.open(server.dsn, size=1, timeout=None)
        try:
            await migrate.apply(database)
            for number in sizes:
                report["lists"].append(await list_query(database, server.dsn, f"docs{number}", number, given.rounds))
        finally:
            await database.close()
    return report


def show(report: dict[str, Any]) -> None:
    found = report["understanding"]
    print(
        f"parse + analyse, median of {found['texts']} texts: {found['parse_analyse_us']:.0f} µs;"
        f" seen before: {found['seen_before_us']:.2f} µs"
    )
    for one in report["lists"]:
        print(
            f"{one['documents']} documents: compiled {one['compiled_us']:.0f} µs, by hand {one['by_hand_us']:.0f} µs: "
            f"{one['compiled_ratio']:.2f}x (to compile it: {one['compile_us']:.0f} µs); through the proxy "
            f"{one['through_us']:.0f} µs: {one['through_ratio']:.2f}x; same rows: {one['same_rows']}"
        )
    if len(report["lists"]) > 1:
        first, last = report["lists"][0], report["lists"][-1]
        grown = last["compiled_us"] / first["compiled_us"]
        print(f"{last['documents']} documents beside {first['documents']}: {grown:.2f}x")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, default=_CORPUS)
    parser.add_argument("--documents", type=int, default=50_000)
    parser.add_argument("--sizes", default="", help="further sizes, by commas")
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--buffers", default="256MB", help="PostgreSQL's shared_buffers")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    result = asyncio.run(measured(arguments))
    print(json.dumps(result)) if arguments.json else show(result)
    sys.exit(0)
