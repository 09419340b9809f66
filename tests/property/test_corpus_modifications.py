"""Queries of real services that write: the same results, and the same documents afterwards, in both stores.

So are the cases of ArangoDB's own suites that write. Both are outside the repository; a few queries are in it.
CORPUS_STEP=1 runs every query of the corpus; by default it is one of eight.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import orjson
import pytest

from bench.corpus.evaluated import evaluate_in
from bench.corpus.infer import Inference
from bench.corpus.world import Filler, World, ways
from proxy.aql import analyse, parse
from proxy.base.errors import ArangoError
from proxy.devserver.store import MemoryStore
from proxy.wire.decode import decode_parts
from tests.ad_hoc import Database
from tests.property.modification_texts import Query
from tests.property.test_two_stores_aql import Both, pool
from tests.property.write_requests import Request

__all__ = ["pool"]
_CONFORMANCE: Final = Path(__file__).resolve().parents[2].parent / "shared" / "conformance"
_OURS: Final = Path(__file__).parents[1] / "integration" / "corpus.jsonl"
_CORPUS: Final = _CONFORMANCE / "aql-corpus.jsonl"
_SUITE: Final = _CONFORMANCE / "suites" / "aql_with_collections.jsonl"
_STEP: Final = int(os.environ.get("CORPUS_STEP", "8"))


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []


async def both_with(
    pool: Database, memory: MemoryStore, name: str, collections: Mapping[str, tuple[int, Sequence[Any]]]
) -> Both:
    """Return a database in both stores, with these collections: their type and documents."""
    memory.run(decode_parts("POST", b"/_api/database", [], orjson.dumps({"name": name})))
    both = Both(memory, pool, name)
    for collection, (kind, documents) in collections.items():
        properties = {"name": collection, "type": kind, "keyOptions": {}, "isSystem": collection.startswith("_")}
        stores = await both.create(collection, properties)
        body = orjson.dumps(documents).decode()
        await stores.both(Request("POST", f"/_db/{name}/_api/document/{collection}", (), body))
    return both


def world_of(text: str, names: list[str]) -> World | None:
    """Return documents and bind variables with which the evaluator executes the query; None if ArangoDB refuses it."""
    query = parse(text)
    found = Inference(query, names)
    for way in ways(calm=True):
        world = Filler(found, way).world()
        try:
            evaluate_in(query, world)
        except ArangoError:
            continue
        return world if not analyse(query, world.binds).unsupported else None
    return None


@pytest.mark.parametrize("path", [_OURS, _CORPUS], ids=["ours", "corpus"])
async def test_queries_of_services_are_the_same_in_both_stores(
    pool: Database, path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """DATE_NOW is the same moment in both. What the data does not determine (LIMIT without SORT), both take by key."""
    moment = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: moment)
    writing = [one for one in records(path) if one["kind"] not in ("read", "unknown")]
    step = 1 if path == _OURS else _STEP
    memory, counts = MemoryStore(), Counter[str]()
    for number, record in enumerate(writing[::step]):
        try:
            world = world_of(record["query"], list(record["bind_vars"]))
        except ArangoError:
            world = None
        if world is None:
            counts["not evaluated"] += 1
            continue
        edges = world.edges
        collections = {name: (3 if name in edges else 2, rows) for name, rows in world.collections.items()}
        try:
            both = await both_with(pool, memory, f"w{number}", collections)
            ours, _ = await both.run(Query(record["query"], world.binds))
        except Exception as error:
            error.add_note(f"{record['id']}: {record['query']} {world.binds}")
            raise
        counts["executed" if ours.status == 201 else "refused"] += 1
    with capsys.disabled():
        print(f"\n{path.name}: {dict(counts)} of {len(writing[::step])}")


async def test_cases_of_arangodbs_suites_are_the_same_in_both_stores(pool: Database) -> None:
    setups: Any = json.loads((_SUITE.parent / "setups.json").read_text("utf-8")) if _SUITE.is_file() else {}
    memory = MemoryStore()
    writing = [one for one in records(_SUITE) if one.get("modifies") and "2010" not in one["query"]]  # few documents
    for number, case in enumerate(writing):
        collections = {one["name"]: (one["type"], one["docs"]) for one in setups[case["setup"]]}
        try:
            both = await both_with(pool, memory, f"s{number}", collections)
            await both.run(Query(case["query"], case.get("bindVars") or {}, case.get("options") or {}))
        except Exception as error:
            error.add_note(f"{case['id']}: {case['query']}")
            raise
