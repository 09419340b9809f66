"""Large bodies over PostgreSQL alone: arrays and imports are carried out in parts, with the answers of whole ones.

Here bodies above 2,000 bytes are large.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import re
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from proxy.app import CompleteApplication
from proxy.base.spool import SpoolSpace
from proxy.complete import CompleteStore, TransactionLimits
from proxy.devserver.serve import DevelopmentServer
from proxy.wire.decode import decode_parts
from proxy.wire.velocypack import decode
from proxy.wire.velocypack_writer import encode
from tests.ad_hoc import Database
from tests.harness import eventually
from tests.integration.test_complete_application import settings_of
from tests.unit.wire import vpack

DOCUMENTS = [{"_key": f"k{number}", "n": number, "text": "x" * 30} for number in range(300)]
ARRAY = json.dumps(DOCUMENTS).encode()
LINES = b"\n".join(json.dumps({**one, "_key": f"l{one['n']}"}).encode() for one in DOCUMENTS)
ROWS = b'["_key","n"]\n' + b"\n".join(b'["r%d",%d]' % (number, number) for number in range(300))
SHORT = json.dumps([{"_key": one["_key"]} for one in DOCUMENTS]).encode()
GZIP = {"content-encoding": "gzip"}
PACKED = {"content-type": "application/x-velocypack"}
FORMS = [vpack.encode(DOCUMENTS, random.Random(seed).choice) for seed in range(4)]
CORRUPT = [FORMS[0][:-1], FORMS[1] + b"\x18", encode(DOCUMENTS)[:-1] + b"\0", b"\x13" + encode(DOCUMENTS)[1:]]
PATH = "/_api/document/c"
IMPORT = "/_api/import?collection=c&details=true&type="


@asynccontextmanager
async def client_of(dsn: str, folder: Path, **more: Any) -> AsyncIterator[httpx.AsyncClient]:
    settings = settings_of(dsn, folder, max_buffered_body=2000, max_body=1 << 20, **more)
    async with CompleteApplication(settings) as application:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{application.port}", timeout=30) as client:
            yield client
        assert list((folder / "state" / "spool").iterdir()) == []


@pytest.fixture
async def client(database: Database, dsn: str, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(dsn, tmp_path) as found:
        assert (await found.post("/_api/collection", json={"name": "c"})).status_code == 200
        yield found


async def test_large_bodies_have_the_answers_of_the_development_server(client: httpx.AsyncClient) -> None:
    """Formats, parameters, encodings and mistakes, one after the other on the same collection."""
    requests: list[tuple[str, str, bytes, dict[str, str]]] = [
        ("POST", PATH, ARRAY, {}),
        ("POST", PATH + "?overwriteMode=update&returnOld=true&returnNew=true", ARRAY, {}),
        ("POST", PATH, ARRAY, {}),
        ("POST", PATH + "?silent=true", ARRAY, {}),
        ("PATCH", PATH + "?waitForSync=true", gzip.compress(ARRAY), GZIP),
        ("PUT", PATH + "?returnOld=true", gzip.compress(ARRAY[:9000]) + gzip.compress(ARRAY[9000:]), GZIP),
        ("DELETE", PATH, SHORT, {}),
        ("DELETE", PATH, SHORT, {}),
        ("POST", PATH, zlib.compress(ARRAY), {"content-encoding": "deflate"}),
        ("PUT", PATH, encode(DOCUMENTS), {"content-type": "application/x-velocypack"}),
        ("POST", IMPORT + "documents", LINES, {}),
        ("POST", IMPORT + "documents&onDuplicate=replace", LINES + b"\n{", {}),
        ("POST", IMPORT + "auto&onDuplicate=ignore", ARRAY, {}),
        ("POST", IMPORT, ROWS, {}),
        ("POST", IMPORT + "&line=7", ROWS, {}),
        ("POST", IMPORT + "array", ARRAY, {}),
        ("POST", IMPORT + "array&complete=true", ARRAY, {}),
        ("POST", IMPORT + "array&complete=true&overwrite=true", ARRAY + b"x", {}),
        ("POST", IMPORT + "array&complete=true&overwrite=true", ARRAY[:-1] + b',{"_key":"k7"}]', {}),
        ("POST", IMPORT + "array&overwrite=true", encode(DOCUMENTS), {"content-type": "application/x-velocypack"}),
        ("POST", PATH + "?overwriteMode=update&returnOld=true", FORMS[0], PACKED),
        ("PATCH", PATH + "?returnNew=true", gzip.compress(FORMS[1]), PACKED | GZIP),
        ("POST", IMPORT + "documents", FORMS[2], PACKED),
        ("POST", IMPORT + "auto&onDuplicate=update", FORMS[3], PACKED),
        ("POST", IMPORT, FORMS[3], PACKED),
        ("POST", IMPORT + "array", encode({"_key": "one", "text": "y" * 5000}), PACKED),
        ("PUT", PATH, encode({"_key": "one", "text": "y" * 5000}), PACKED),
        ("POST", PATH, encode({"_key": "two", "text": "y" * 5000}), PACKED),
        *(("PUT", PATH, body, PACKED) for body in CORRUPT),
        ("POST", IMPORT + "array&overwrite=true", CORRUPT[0], PACKED),
        ("POST", "/_api/import?type=array", CORRUPT[0], PACKED),
        ("POST", "/_api/document/absent", CORRUPT[0], PACKED),
        ("POST", "/_api/document/absent", FORMS[0], PACKED),
        ("POST", "/_db/absent" + PATH, CORRUPT[0], PACKED),
        ("POST", IMPORT + "array", LINES, {}),
        ("POST", "/_api/import?type=array", LINES, {}),
        ("POST", "/_api/import?type=array&collection=absent", LINES, {}),
        ("POST", "/_api/document/absent", ARRAY, {}),
        ("POST", "/_api/document/absent", ARRAY[:-1], {}),
        ("POST", PATH, ARRAY[:-1], {}),
        ("PATCH", PATH, ARRAY[:9000] + b"\xff" + ARRAY[9000:], {}),
        ("PUT", PATH, ARRAY[:-1] + b',{"a":1,"a":2}]', {}),
        ("PUT", PATH + "/k1", ARRAY, {}),
        ("PATCH", "/_api/document", ARRAY, {}),
        ("POST", PATH, ARRAY, GZIP),
        ("POST", PATH, gzip.compress(ARRAY)[:-3], GZIP),
        ("POST", PATH, gzip.compress(b" " * (1 << 21)), GZIP),
        ("POST", PATH, json.dumps({"_key": "single", "text": "y" * 5000}).encode(), {}),
        ("POST", "/_db/absent" + PATH, ARRAY, {}),
        ("PUT", "/_api/simple/all", b'{"collection":"c"}', {}),
    ]
    async with DevelopmentServer() as server, httpx.AsyncClient(base_url=server.url) as other:
        await other.post("/_api/collection", json={"name": "c"})
        for method, path, body, headers in requests:
            ours, theirs = [await one.request(method, path, content=body, headers=headers) for one in (client, other)]
            if len(gzip.compress(b" " * (1 << 21))) == len(body):
                assert ours.status_code == 413
                continue
            assert ours.status_code == theirs.status_code, (path, ours.text[:300], theirs.text[:300])
            assert _compared(ours) == _compared(theirs), path
            codes = "x-arango-error-codes"
            assert ours.headers.get(codes) == theirs.headers.get(codes)


def _compared(response: httpx.Response) -> object:
    """Return the answer without revisions; documents in the order of their keys if it is a cursor's."""
    text = re.sub(r'"(_rev|_oldRev)":"[^"]*"', r'"\1":""', response.text)
    body = json.loads(text)
    if isinstance(body, dict) and "result" in body:
        return sorted(body["result"], key=lambda one: str(one["_key"]))
    return text


async def test_large_bodies_within_a_stream_transaction(client: httpx.AsyncClient) -> None:
    """As on the development server; what is refused does not end the transaction, and nothing is visible outside."""
    requests: list[tuple[str, str, bytes, dict[str, str]]] = [
        ("POST", PATH, ARRAY, {}),
        ("POST", PATH + "?overwriteMode=ignore", ARRAY, {}),
        ("PATCH", PATH + "?returnOld=true", FORMS[0], PACKED),
        ("PUT", PATH, ARRAY[:-1], {}),
        ("PUT", PATH, CORRUPT[0], PACKED),
        ("POST", "/_api/document/d", ARRAY, {}),
        ("POST", "/_api/document/d", ARRAY[:-1], {}),
        ("POST", "/_api/import?type=array&collection=d", ARRAY[:-1], {}),
        ("POST", "/_api/document/absent", ARRAY, {}),
        ("POST", PATH, json.dumps({"_key": "single", "text": "y" * 5000}).encode(), {}),
        ("DELETE", PATH, SHORT, {}),
        ("POST", IMPORT + "documents", LINES, {}),
        ("POST", IMPORT + "array&complete=true", ARRAY[:-1] + b',{"_key":"k7"}]', {}),
        ("POST", IMPORT + "array&complete=true&overwrite=true", ARRAY[:-1] + b',{"_key":"k7"}]', {}),
        ("POST", IMPORT + "array&overwrite=true", FORMS[1], PACKED),
        ("POST", IMPORT, ROWS, {}),
        ("PUT", "/_api/document/c/k1", json.dumps({"text": "y" * 5000}).encode(), {}),
    ]
    async with DevelopmentServer() as server, httpx.AsyncClient(base_url=server.url) as other:
        transactions = []
        for one in (client, other):
            for name in ("c", "d"):
                await one.post("/_api/collection", json={"name": name})
            begun = await one.post("/_api/transaction/begin", json={"collections": {"write": ["c"]}})
            transactions.append({"x-arango-trx-id": begun.json()["result"]["id"]})
        for method, path, body, headers in requests:
            ours, theirs = [
                await one.request(method, path, content=body, headers=headers | transaction)
                for one, transaction in zip((client, other), transactions, strict=True)
            ]
            assert ours.status_code == theirs.status_code, (path, ours.text[:300], theirs.text[:300])
            assert _compared(ours) == _compared(theirs), path
        assert (await client.get("/_api/collection/c/count")).json()["count"] == 0
        found = []
        for one, transaction in zip((client, other), transactions, strict=True):
            ended = await one.put(f"/_api/transaction/{transaction['x-arango-trx-id']}")
            assert ended.json()["result"]["status"] == "committed"
            found.append(_compared(await one.put("/_api/simple/all", content=b'{"collection":"c","batchSize":9999}')))
        assert found[0] == found[1]


async def test_a_transaction_has_a_limit_for_large_bodies(database: Database) -> None:
    store = CompleteStore(database, transactions=TransactionLimits(size=len(ARRAY) + 10))
    made = await store.execute(decode_parts("POST", b"/_api/collection", [], b'{"name":"c"}'))
    assert made.status == 200
    begun = await store.execute(
        decode_parts("POST", b"/_api/transaction/begin", [], b'{"collections":{"write":["c"]}}')
    )
    headers = [(b"x-arango-trx-id", json.loads(begun.body)["result"]["id"].encode())]
    answers = []
    for _ in range(2):
        spool = SpoolSpace().new()
        spool.append(ARRAY)
        operation = decode_parts("POST", PATH.encode(), headers)
        answers.append(await store.execute(msgspec.structs.replace(operation, large=spool)))
    await store.close()
    assert answers[0].status == 202
    assert (answers[1].status, json.loads(answers[1].body)["errorNum"]) == (500, 32)


async def test_documents_that_others_have_changed_are_refused_in_a_transaction(client: httpx.AsyncClient) -> None:
    """Since it began: only these, in whichever part they are."""
    await client.post(PATH, content=ARRAY)
    begun = await client.post("/_api/transaction/begin", json={"collections": {"write": ["c"]}})
    transaction = {"x-arango-trx-id": begun.json()["result"]["id"]}
    await client.get("/_api/document/c/k0", headers=transaction)
    await client.patch("/_api/document/c/k7", json={"n": -1})
    await client.post("/_api/document/c", json={"_key": "new"})
    body = [*DOCUMENTS, {"_key": "new"}]
    made = await client.post(PATH + "?overwriteMode=replace", json=body, headers=transaction)
    numbers = [one.get("errorNum") for one in made.json()]
    expected: list[int | None] = [None] * 301
    expected[7] = expected[300] = 1200
    assert numbers == expected
    assert (await client.put(f"/_api/transaction/{begun.json()['result']['id']}")).status_code == 200
    assert (await client.get("/_api/document/c/k7")).json()["n"] == -1


async def test_values_that_others_have_taken_are_refused_in_a_transaction(client: httpx.AsyncClient) -> None:
    """As on the development server: only the documents that claim them, in whichever part they are."""
    index = {"type": "persistent", "fields": ["n"], "unique": True, "sparse": True, "name": "u"}
    body = [{"_key": f"k{n}", "n": n, "text": "y" * 50} for n in range(300)]
    large, more = (json.dumps(found).encode() for found in (body, [*body, {"_key": "o", "n": 7}]))
    async with DevelopmentServer() as server, httpx.AsyncClient(base_url=server.url) as other:
        answers: list[list[object]] = []
        for one in (client, other):
            await one.post("/_api/collection", json={"name": "c"})
            await one.post("/_api/index?collection=c", json=index)
            begun = await one.post("/_api/transaction/begin", json={"collections": {"write": ["c"]}})
            transaction = {"x-arango-trx-id": begun.json()["result"]["id"]}
            await one.post(PATH, json=[{"_key": "a", "n": 7}, {"_key": "b", "n": 299}, {"_key": "k200"}])
            made = [
                await one.post(IMPORT + "array&complete=true", content=large, headers=transaction),
                await one.post(IMPORT + "array&details=true", content=more, headers=transaction),
                await one.post(PATH + "?overwriteMode=replace", content=more, headers=transaction),
                await one.put(f"/_api/transaction/{transaction['x-arango-trx-id']}", headers={}),
                await one.put("/_api/simple/all", json={"collection": "c", "batchSize": 999}),
            ]
            answers.append([[answer.status_code for answer in made], *(_compared(made[n]) for n in (0, 1, 2, 4))])
    assert answers[0] == answers[1]


async def test_values_that_a_transaction_has_are_refused_in_large_bodies(client: httpx.AsyncClient) -> None:
    index = {"type": "persistent", "fields": ["n"], "unique": True, "sparse": True, "name": "u"}
    body = [{"_key": f"k{n}", "n": n, "text": "y" * 50} for n in range(300)]
    await client.post("/_api/index?collection=c", json=index)
    begun = await client.post("/_api/transaction/begin", json={"collections": {"write": ["c"]}})
    transaction = {"x-arango-trx-id": begun.json()["result"]["id"]}
    assert (await client.post(PATH, json=[{"n": 7}, {"n": 299}], headers=transaction)).status_code == 202
    made = await client.post(PATH, json=body)
    refused = {place: one["errorMessage"] for place, one in enumerate(made.json()) if one.get("errorNum") == 1200}
    where = "timeout waiting to lock key - in index u of type persistent over 'n'; conflicting key: k"
    assert refused == {7: f"{where}7", 299: f"{where}299"}
    assert (await client.get("/_api/collection/c/count")).json()["count"] == 298


async def test_a_large_array_is_written_over_http2_without_a_length(client: httpx.AsyncClient) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(ARRAY), 1000):
            yield ARRAY[start : start + 1000]

    async with httpx.AsyncClient(base_url=client.base_url, http1=False, http2=True) as other:
        made = await other.post(PATH, content=pieces())
    assert (made.http_version, made.status_code, len(made.json())) == ("HTTP/2", 202, 300)
    chunked = await client.post(PATH, content=pieces())
    assert (chunked.status_code, chunked.json()["errorNum"]) == (501, 9)


async def test_a_collection_may_be_named_by_its_number(client: httpx.AsyncClient) -> None:
    number = (await client.get("/_api/collection/c")).json()["id"]
    made = await client.post(f"/_api/document/{number}", content=ARRAY)
    assert made.json()[299]["_id"] == "c/k299"


async def test_a_large_import_may_be_a_job(client: httpx.AsyncClient) -> None:
    """Its result, which is long, is fetched later."""
    accepted = await client.post(PATH + "?returnNew=true", content=ARRAY, headers={"x-arango-async": "store"})
    job = accepted.headers["x-arango-async-id"]

    async def done() -> bool:
        return (await client.get(f"/_api/job/{job}")).status_code == 200

    await eventually(done, "the job has its result")
    assert len((await client.put(f"/_api/job/{job}")).json()) == 300


async def test_a_long_answer_is_a_stream(client: httpx.AsyncClient) -> None:
    documents = [{"_key": f"s{number}", "text": "y" * 900} for number in range(900)]
    made = await client.post(PATH + "?returnNew=true", json=documents)
    assert int(made.headers["content-length"]) == len(made.content) > 1 << 19
    assert [one["new"]["text"] for one in made.json()] == ["y" * 900] * 900
    replaced = await client.put(PATH + "?returnNew=true&returnOld=true", json=documents)
    assert int(replaced.headers["content-length"]) == len(replaced.content) > 1 << 20
    assert [one["old"]["_rev"] for one in replaced.json()] == [one["_rev"] for one in made.json()]


async def test_a_long_answer_is_velocypack_for_clients_that_accept_it(client: httpx.AsyncClient) -> None:
    accept = {"accept": "application/x-velocypack"}
    documents = [{"_key": f"s{number}", "text": "y" * 2000} for number in range(480)]
    target = PATH + "?overwriteMode=replace&returnNew=true&returnOld=true"
    await client.post(PATH, content=vpack.encode(documents), headers=PACKED)
    made = await client.post(target, content=vpack.encode(documents), headers=PACKED | accept)
    assert made.headers["content-type"] == "application/x-velocypack"
    assert int(made.headers["content-length"]) == len(made.content) > 1 << 20
    assert [one["new"]["text"] for one in decode(made.content)] == ["y" * 2000] * 480
    query = {"query": "FOR d IN c SORT TO_NUMBER(SUBSTRING(d._key, 1)) RETURN [d, d.text]", "batchSize": 400}
    found = await client.post("/_api/cursor", json=query, headers=accept)
    first = decode(found.content)
    assert len(found.content) > 1 << 20
    assert list(first) == list((await client.post("/_api/cursor", json=query)).json())
    rest = decode((await client.post(f"/_api/cursor/{first['id']}", headers=accept)).content)
    assert [one["_key"] for one, _ in first["result"] + rest["result"]] == [one["_key"] for one in documents]
    keys = [one["_key"] for one in documents] * 2
    asked = await client.put("/_api/document/c?onlyget=true", json=keys, headers=accept)
    assert len(asked.content) > 1 << 20
    assert [one["text"] for one in decode(asked.content)] == ["y" * 2000] * 960


async def test_a_client_that_leaves_has_written_nothing(client: httpx.AsyncClient) -> None:
    reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
    head = b"POST %s HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % (PATH.encode(), len(ARRAY))
    writer.write(head + ARRAY[:-1])
    await writer.drain()
    await asyncio.sleep(0.1)
    writer.close()
    await client.get("/_api/version")
    assert (await client.get("/_api/collection/c/count")).json()["count"] == 0
    reader.feed_eof()


async def test_a_long_body_is_refused(client: httpx.AsyncClient) -> None:
    refused = await client.post(PATH, content=b"[" + b" " * (1 << 20) + b"]")
    assert refused.status_code == 413


async def test_a_user_without_rights_is_refused(database: Database, dsn: str, tmp_path: Path) -> None:
    async with client_of(dsn, tmp_path, authentication=True, root_password="secret") as client:
        root = httpx.BasicAuth("root", "secret")
        await client.post("/_api/collection", json={"name": "c"}, auth=root)
        await client.post("/_api/user", json={"user": "reader", "passwd": "r"}, auth=root)
        await client.put("/_api/user/reader/database/_system", json={"grant": "ro"}, auth=root)
        reader = httpx.BasicAuth("reader", "r")
        assert (await client.post(PATH, content=ARRAY, auth=root)).status_code == 202
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            refused = await client.request(method, PATH, content=ARRAY, auth=reader)
            assert (refused.status_code, refused.json()["errorNum"]) == (403, 1004)
        assert (await client.post(PATH, content=ARRAY)).status_code == 401
