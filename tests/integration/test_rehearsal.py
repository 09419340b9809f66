"""Writes through a real proxy are rehearsed beside the development ArangoDB: answers, verdicts, ledger, command."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

from proxy.model.stages import CollectionState, Stage
from proxy.operator import mismatches
from proxy.rehearsal.collection_rules import OriginRules
from proxy.rehearsal.decisions import RehearsedRules
from proxy.rehearsal.rehearsed_shapes import RehearsedShapes, rehearsed_shapes
from proxy.rehearsal.rehearser import Rehearser
from tests.harness import Running, running

BOOKS = "_system/books"
DOCUMENT = "/_api/document/books"


@pytest.fixture
async def stack(dsn: str, tmp_path: Path) -> AsyncIterator[Running]:
    async with running(dsn, tmp_path) as started:
        schema = {"rule": {"properties": {"n": {"type": "number"}}}, "level": "strict", "message": "n"}
        await started.client.post("/_api/collection", json={"name": "books", "schema": schema})
        index = {"type": "persistent", "fields": ["isbn"], "unique": True, "sparse": True}
        await started.client.post("/_api/index?collection=books", json=index)
        await started.move(CollectionState(Stage.MIRROR), BOOKS)
        yield started


def rehearser(stack: Running) -> Rehearser:
    found = stack.application.rehearser
    assert found is not None
    return found


async def rehearsed(stack: Running) -> RehearsedShapes:
    await rehearser(stack).idle()
    (found,) = await rehearsed_shapes(stack.database, [BOOKS])
    return found


async def test_writes_of_all_shapes_are_rehearsed_and_answered_as_without(stack: Running) -> None:
    """I6."""
    client = stack.client
    made = await client.post(DOCUMENT, json={"_key": "a", "n": 1, "isbn": "x"})
    assert sorted(made.json()) == ["_id", "_key", "_rev"]
    patched = await client.patch(DOCUMENT + "/a?keepNull=false", json={"n": 2, "t": None})
    assert sorted(patched.json()) == ["_id", "_key", "_oldRev", "_rev"]
    both = await client.put(DOCUMENT + "/a?returnOld=true&returnNew=true", json={"n": 3, "isbn": "x"})
    assert sorted(both.json()) == ["_id", "_key", "_oldRev", "_rev", "new", "old"]
    assert (await client.put(DOCUMENT + "/a", json={"n": "text"})).json()["errorNum"] == 1620
    assert (await client.post(DOCUMENT, json={"isbn": "x"})).json()["errorNum"] == 1210
    await rehearser(stack).idle()  # what these have met is read afterwards: it must still be there
    assert (await client.post(DOCUMENT, json={"_key": "a"})).json()["errorNum"] == 1210
    old = made.json()["_rev"]
    assert (await client.delete(DOCUMENT + "/a", headers={"If-Match": old})).status_code == 412
    assert (await client.patch(DOCUMENT + "/none", json={})).status_code == 404
    several = await client.post(DOCUMENT + "?overwriteMode=update", json=[{"_key": "a", "m": 1}, {"_key": "b"}, 5])
    assert [sorted(item) for item in several.json()][:2] == [
        ["_id", "_key", "_oldRev", "_rev"],
        ["_id", "_key", "_rev"],
    ]
    assert (await client.post(DOCUMENT + "?overwriteMode=ignore", json={"_key": "a"})).status_code == 202
    assert (await client.delete(DOCUMENT + "/a?silent=true")).content == b"{}"
    removed = await client.request("DELETE", DOCUMENT, json=["b", "none"])
    assert sorted(removed.json()[0]) == ["_id", "_key", "_rev"]
    imported = await client.post("/_api/import?collection=books&type=array", content=b'[{"n":1},{"n":"x"}]')
    assert (imported.json()["created"], imported.json()["errors"]) == (1, 1)
    await rehearser(stack).idle()
    lines = b'{"_key":"i","n":1}\n{"_key":"i","n":2}\n{"_key":"j","n":"x"}\n'
    keyed = await client.post("/_api/import?collection=books&type=documents&onDuplicate=update", content=lines)
    assert [keyed.json()[name] for name in ("created", "updated", "errors")] == [1, 1, 1]

    found = await rehearsed(stack)
    assert [(shape.text, dict(shape.reasons)) for shape in found.shapes if shape.reasons] == []
    assert (found.open_mismatches, sum(shape.different for shape in found.shapes)) == (0, 0)
    assert {shape.text: shape.equal for shape in found.shapes} == {
        "document.insert": 3,
        "document.update keepNull=false": 1,
        "document.replace returnNew=true returnOld=true": 1,
        "document.replace": 1,
        "document.remove If-Match": 1,
        "document.update": 1,
        "document.insert array overwriteMode=update": 1,
        "document.insert overwriteMode=ignore": 1,
        "document.remove silent=true": 1,
        "document.remove_many": 1,
        "import type=array": 1,
        "import onDuplicate=update type=documents": 1,
    }


async def test_queries_that_write_are_rehearsed(stack: Running) -> None:
    """I6: their answers have nothing but what the client asked for."""
    client = stack.client

    async def query(text: str, **binds: object) -> object:
        answer = await client.post("/_api/cursor", json={"query": text, "bindVars": binds})
        await stack.drained()
        await rehearser(stack).idle()  # the collection is read as a whole: it must still be what the query met
        return answer.json().get("result", answer.json())

    documents = [{"_key": str(n), "n": n} for n in range(4)]
    assert await query("FOR d IN @docs INSERT d INTO books RETURN NEW._key", docs=documents) == ["0", "1", "2", "3"]
    assert await query("FOR d IN books FILTER d.n > 1 UPDATE d WITH {m: d.n * 2} IN books RETURN NEW.m") == [4, 6]
    assert await query("UPDATE @k WITH {o: {a: null}} IN books OPTIONS {keepNull: false}", k="0") == []
    await query("UPSERT {n: @n} INSERT {n: @n} UPDATE {seen: true} IN books", n=3)
    await query("UPSERT {n: @n} INSERT {n: @n} UPDATE {seen: true} IN books", n=9)
    assert await query("FOR d IN books FILTER d.n == 1 REMOVE d IN books RETURN OLD.n") == [1]
    await query('INSERT {_key: "0", x: 1} INTO books OPTIONS {overwriteMode: "update"}')
    await query("FOR d IN books LIMIT 1 UPDATE d WITH {one: true} IN books")

    found = await rehearsed(stack)
    assert (found.open_mismatches, sum(shape.different for shape in found.shapes)) == (0, 0)
    assert [dict(shape.reasons) for shape in found.shapes if not shape.equal] == [
        {"a query that the data does not determine": 1}
    ]
    assert sum(shape.equal for shape in found.shapes) == 7
    await stack.drained()
    assert await stack.differences(BOOKS) == []


async def test_a_write_in_a_transaction_is_counted_without_a_verdict(stack: Running) -> None:
    begun = await stack.client.post("/_api/transaction/begin", json={"collections": {"write": ["books"]}})
    header = {"x-arango-trx-id": begun.json()["result"]["id"]}
    await stack.client.post(DOCUMENT, json={"_key": "a"}, headers=header)
    await stack.client.put(f"/_api/transaction/{header['x-arango-trx-id']}")

    found = await rehearsed(stack)
    assert [(shape.text, shape.reasons) for shape in found.shapes] == [
        ("document.insert", {"in a stream transaction": 1})
    ]
    assert found.figure == "write shapes rehearsed: 0 of 1, 0 different"


async def test_a_difference_is_in_the_ledger_and_does_not_block_a_flip(
    stack: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = OriginRules.again

    async def other_rules(self: OriginRules, collection: str) -> RehearsedRules:
        found = await of(self, collection)
        options = {**found.properties.key_options, "allowUserKeys": False}
        return dataclasses.replace(found, properties=dataclasses.replace(found.properties, key_options=options))

    monkeypatch.setattr(OriginRules, "again", other_rules)
    await stack.client.post(DOCUMENT, json={"_key": "a", "n": 1})

    found = await rehearsed(stack)
    await stack.application.shadow.idle()
    (found,) = await rehearsed_shapes(stack.database)
    assert found.figure == "write shapes rehearsed: 1 of 1, 1 different"
    (listed,) = await mismatches.list_mismatches(stack.database, BOOKS)
    shown = await mismatches.show_mismatch(stack.database, listed.id)
    assert shown is not None
    assert (shown.kind, shown.keys) == ("write", ("a",))
    assert "document.insert: status" in shown.paths
    (sample,) = shown.samples
    assert sample["shape"] == "document.insert"
    assert orjson.loads(sample["request"]["body"]) == {"_key": "a", "n": 1}
    assert orjson.loads(sample["origin"])["status"] == 202
    assert orjson.loads(sample["target"])["body"]["errorNum"] == 1222
    assert await stack.database.fetchval("SELECT count(*) FROM _crossfade.comparison WHERE mismatched > 0") == 0
    await mismatches.mark_ignored(stack.database, ids=[listed.id])
    (found,) = await rehearsed_shapes(stack.database)
    assert found.open_mismatches == 0
