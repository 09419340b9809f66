"""A query that sends writes before its end names the index and the document that ArangoDB's error names.

Each case: which document holds a value is found out after writes were sent, when the run can no longer be repeated.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

import orjson
import pytest

from proxy.base.spool import SpoolSpace
from proxy.devserver.store import MemoryStore
from proxy.wire.decode import decode_parts
from tests.ad_hoc import Database
from tests.little_memory import hold_little
from tests.property.modification_texts import Query
from tests.property.test_two_stores_aql import Both, shown
from tests.property.write_requests import Request

NUMBERS: Final = {"type": "autoincrement"}
BY_V: Final = {"type": "persistent", "unique": True, "fields": ["v"], "name": "by_v"}
BY_W: Final = {"type": "persistent", "unique": True, "fields": ["w"], "name": "by_w"}
LOG: Final = "FOR i IN 1..6 INSERT {_key: CONCAT('l', i), i} INTO log "  # enough to be sent


@pytest.fixture
async def both(dsn: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Both]:
    """Collections `log`, and `c` with two unique indexes and the document {_key: "held", v: 1, w: 2}."""
    hold_little(monkeypatch)
    pool, memory = await Database.open(dsn, size=4), MemoryStore()
    memory.run(decode_parts("POST", b"/_api/database", [], orjson.dumps({"name": "db"})))
    stores = Both(memory, pool, "db", SpoolSpace())
    for name, definitions in (("log", ()), ("c", (BY_V, BY_W))):
        await stores.create(name, {"name": name, "type": 2, "keyOptions": NUMBERS}, definitions)
    held = orjson.dumps({"_key": "held", "v": 1, "w": 2}).decode()
    await stores.collections["c"].both(Request("POST", "/_db/db/_api/document/c", (), held))
    yield stores
    await pool.close()


@pytest.mark.parametrize(
    ("text", "options", "index", "key"),
    [
        (LOG + "INSERT {_key: CONCAT('k', i), v: 1, w: 10 + i} INTO c", {}, "by_v", "held"),
        (LOG + "INSERT {_key: 'k', v: 1, w: 10 + i} INTO c", {}, "by_v", "held"),
        (LOG + "INSERT {_key: CONCAT('k', i), v: i == 2 ? 1 : 10 + i, w: 3} INTO c", {}, "by_v", "held"),
        (LOG + "INSERT {_key: CONCAT('k', i), v: 10 + i, w: 3} INTO c", {}, "by_w", "k1"),
        (LOG + "INSERT {_key: 'k', v: 10 + i, w: 10 + i} INTO c", {}, "primary", "k"),
        (
            "FOR i IN 1..9 INSERT {_key: CONCAT('k', i), v: i == 9 ? 18 : 10 + i, w: i == 9 ? 11 : 10 + i} INTO c",
            {"intermediateCommitCount": 3},
            "by_v",
            "k8",
        ),
    ],
)
async def test_the_first_index_that_refuses_a_document_is_named(
    both: Both, text: str, options: dict[str, Any], index: str, key: str
) -> None:
    ours, _ = await both.run(Query(text, {}, options))
    message = shown(ours)["message"]
    assert f"in index {index} of" in message
    assert message.endswith(f"conflicting key: {key}")
