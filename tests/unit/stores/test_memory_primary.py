"""Queries that the primary index answers, in the byte order of keys."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.aql import parse
from proxy.devserver.store import MemoryStore
from proxy.devserver.store.queries.primary_scan import scan_of
from proxy.model.operations import Operation
from proxy.wire.endpoints import named

KEYS = ["10", "9", "A", "Z", "_", "a", "x-y", "x_y"]  # in byte order; ICU has `_ 10 9 a A …`


@pytest.mark.parametrize(
    ("text", "bind", "expected"),
    [
        ("FOR d IN c SORT d._key RETURN d._key", {}, KEYS),
        ("FOR d IN c FILTER d._key > @a SORT d._key LIMIT 2 RETURN d._key", {"a": "A"}, ["Z", "_"]),
        ("FOR d IN c FILTER d._key > 'A' AND 'a' >= d._key SORT d._key RETURN d._key", {}, ["Z", "_", "a"]),
        ("FOR d IN c FILTER d._key >= 'A' FILTER d._key < 'a' SORT d._key RETURN d._key", {}, ["A", "Z", "_"]),
        ("FOR d IN c SORT d._key LIMIT @o, 1 RETURN d._key", {"o": 5}, ["a"]),
        ("FOR d IN c FILTER d._key > 'zz' SORT d._key LIMIT 3 RETURN d._key", {}, []),
    ],
)
def test_ranges_in_byte_order(text: str, bind: dict[str, Any], expected: list[str]) -> None:
    scan = scan_of(parse(text), bind)
    assert scan is not None
    assert list(scan.keys(KEYS)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "RETURN 1",
        "FOR d IN c RETURN d",
        "FOR d IN c SORT d._key LIMIT 1 REMOVE d IN c",
        "FOR d IN c SORT d._key DESC RETURN d",
        "FOR d IN c SORT d._key, d.n RETURN d",
        "FOR d IN c SORT d.n RETURN d",
        "FOR d IN c LIMIT 1 RETURN d",
        "FOR d IN c FILTER d._key == 'a' SORT d._key RETURN d",
        "FOR d IN c FILTER d._key > 1 SORT d._key RETURN d",
        "FOR d IN c FILTER d.n > 'a' SORT d._key RETURN d",
        "FOR d IN c LET n = 1 SORT d._key RETURN d",
        "FOR d IN c SORT d._key LIMIT 1 + 1 RETURN d",
        "FOR d IN c SORT d._key RETURN DISTINCT d._key",
        "FOR d IN c SORT d._key RETURN LENGTH(c)",
        "FOR d IN [1] SORT d._key RETURN d",
    ],
)
def test_everything_else_is_evaluated(text: str) -> None:
    assert scan_of(parse(text), {}) is None


async def test_the_development_server_pages_in_byte_order() -> None:
    store = MemoryStore()

    async def ask(endpoint: str, method: str, path: tuple[str, ...], body: Any) -> Any:
        name = "c" if endpoint == "document.insert" else None
        operation = Operation(named(endpoint), method, "_system", name, path=path, body=json.dumps(body).encode())
        return json.loads((await store.execute(operation)).body)

    await ask("collection.create", "POST", ("_api", "collection"), {"name": "c"})
    documents = [{"_key": key, "n": 1} for key in reversed(KEYS)]
    await ask("document.insert", "POST", ("_api", "document", "c"), documents)
    query = "FOR d IN @@c FILTER d._key > @after SORT d._key LIMIT @n RETURN [d._key, d.n]"
    bind = {"@c": "c", "after": "9", "n": 4}
    told = await ask("cursor.create", "POST", ("_api", "cursor"), {"query": query, "bindVars": bind})
    assert told["result"] == [["A", 1], ["Z", 1], ["_", 1], ["a", 1]]
