"""Targets of imports with concurrent writers: a version that appears meanwhile is never lost."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from backfill.archive.arango_target import IntoArango
from backfill.archive.manifest import CollectionEntry
from backfill.archive.postgres_target import IntoPostgres
from backfill.archive.server import ArangoServer
from backfill.archive.storage import ArchiveError
from backfill.origin_pages import Document
from backfill.source import ArangoSource
from proxy.base.errors import ConfigurationError, DatabaseUnavailable, UpstreamOutcomeUnknown
from proxy.model.revision import decode_rev, encode_rev
from tests.ad_hoc import Database
from tests.integration.archive_fixtures import BothDatabases, arangodb

NAME = "shop/carts"
OLD = decode_rev("_kNo8DHm---")


def document(key: str, rev: int, value: str) -> Document:
    return Document(key, rev, f'{{"_key":"{key}","_id":"carts/{key}","_rev":"{encode_rev(rev)}","v":{value}}}'.encode())


def entry(name: str = NAME, *, edge: bool = False, **properties: object) -> CollectionEntry:
    return CollectionEntry(collection=name, edge=edge, started_at="", properties=properties)


@pytest.fixture
def url() -> Iterator[str]:
    with arangodb() as found:
        yield found


@pytest.fixture
async def target(url: str) -> AsyncIterator[IntoArango]:
    server, source = ArangoServer(url, "root", ""), ArangoSource(url, "root", "", retry_seconds=0.1)
    into = IntoArango(server, source)
    await into.prepare(entry(keyOptions={"type": "traditional", "allowUserKeys": True, "lastValue": 7}))
    yield into
    await server.close()
    await source.close()


def value(url: str, key: str) -> object:
    return httpx.get(f"{url}/_db/shop/_api/document/carts/{key}").json().get("v")


async def test_a_document_inserted_during_the_import_is_kept(target: IntoArango, url: str) -> None:
    await target.write(NAME, [document("a", OLD + 5, '"theirs"')], [])
    done = await target.write(NAME, [document("a", OLD + 9, '"ours"'), document("b", OLD + 1, '"ours"')], [])
    assert (done.written, done.kept, done.refused) == (1, 1, ())
    assert (value(url, "a"), value(url, "b")) == ("theirs", "ours")


async def test_a_document_updated_during_the_import_is_kept(target: IntoArango, url: str) -> None:
    await target.write(NAME, [document(key, OLD + 5, '"theirs"') for key in "ab"], [])
    older = [
        (document("a", OLD + 9, '"ours"'), OLD + 5),
        (document("b", OLD + 9, '"ours"'), OLD + 4),  # another revision than the one read before
        (document("c", OLD + 9, '"ours"'), OLD + 4),  # present when it was read before
    ]
    done = await target.write(NAME, [], older)
    assert (done.written, done.kept) == (1, 2)
    assert [value(url, key) for key in "abc"] == ["ours", "theirs", None]
    assert (await target.revisions(NAME, ["a", "b", "c"]), target.keeps_revisions) == (
        {"a": OLD + 9, "b": OLD + 5},
        True,
    )


async def test_a_refused_replacement_leaves_the_older_version(target: IntoArango, url: str) -> None:
    await target.write(NAME, [document("a", OLD, "1")], [])
    done = await target.write(NAME, [], [(document("a", OLD + 1, '"\\ud800"'), OLD)])
    assert ([key for key, _ in done.refused], value(url, "a")) == (["a"], 1)


async def test_a_document_locked_by_a_transaction_is_retried_later(target: IntoArango, url: str) -> None:
    base = f"{url}/_db/shop/_api"
    transaction = httpx.post(f"{base}/transaction/begin", json={"collections": {"write": ["carts"]}}).json()["result"][
        "id"
    ]
    httpx.post(f"{base}/document/carts", json={"_key": "a"}, headers={"x-arango-trx-id": transaction})
    with pytest.raises(UpstreamOutcomeUnknown, match="busy with shop/carts/a"):
        await target.write(NAME, [document("a", OLD, "1")], [])
    httpx.delete(f"{base}/transaction/{transaction}")
    assert (await target.write(NAME, [document("a", OLD, "1")], [])).written == 1


async def test_preparing_a_collection_twice_creates_it_once(target: IntoArango, url: str) -> None:
    for _ in range(2):
        await target.prepare(entry("shop/_parts", edge=True))
        await target.prepare(entry())
    found = httpx.get(f"{url}/_db/shop/_api/collection/_parts/properties").json()
    assert (found["type"], found["isSystem"]) == (3, True)
    assert await target.revisions("none/none", ["a"]) == {}


async def test_an_index_or_schema_that_cannot_be_created_is_reported(target: IntoArango) -> None:
    odd = CollectionEntry(
        collection="shop/gone",
        edge=False,
        started_at="",
        properties={"schema": {"level": "new", "rule": {}}},
        indexes=({"type": "none", "name": "x", "fields": ["a"]},),
    )
    notes = await target.finish(odd)
    assert ["schema could not be set" in notes[0], "index x was not created" in notes[1]] == [True, True]


async def test_a_refused_account_is_reported_with_the_setting() -> None:
    from proxy.http import HttpLimits, Listener
    from proxy.model.message import Request, Response

    async def refuse(request: Request) -> Response:
        if b"version" in request.target:
            return Response(503, [], b"starting")
        return Response(401, [], b'{"error":true,"errorNum":11,"errorMessage":"not authorized"}')

    listener = Listener(refuse, host="127.0.0.1", port=0, limits=HttpLimits())
    await listener.start()
    server = ArangoServer(f"http://127.0.0.1:{listener.port}", "me", "x")
    try:
        with pytest.raises(ConfigurationError, match="set CROSSFADE_ORIGIN_USER"):
            await server.databases()
        with pytest.raises(UpstreamOutcomeUnknown, match="answered 503: starting"):
            await server.version()
    finally:
        await server.close()
        await listener.close(0.1)


async def test_a_truncation_in_between_is_not_undone(database: Database) -> None:
    """Rows below the stamp floor are read again, and never written with an old write epoch."""
    into = IntoPostgres(database, database)
    await into.prepare(entry())
    await database.execute("UPDATE _crossfade.stamp_floor SET floor = 99")
    for write in (into.write(NAME, [document("a", OLD, "1")], []), into.overwrite(NAME, [document("a", OLD, "1")])):
        with pytest.raises(DatabaseUnavailable, match="stamp floor of shop/carts was raised"):
            await write
    assert await database.fetchval("SELECT count(*) FROM shop.carts") == 0


async def test_tables_are_created_or_reused(database: Database) -> None:
    assert await IntoPostgres(database, database).revisions(NAME, ["a"]) == {}
    into = IntoPostgres(database, database, indexes=False)
    await into.prepare(entry())
    await into.finish(entry())
    assert await IntoPostgres(database, database).revisions(NAME, ["a"]) == {}
    assert await database.fetchval("SELECT count(*) FROM pg_indexes WHERE tablename = 'carts'") == 1
    with pytest.raises(ArchiveError, match="its table was made for documents"):
        await IntoPostgres(database, database).prepare(entry(edge=True))


@pytest.mark.parametrize("side", ["arangodb", "postgresql"])
def test_patterns_select_collections_across_databases(dsn: str, url: str, side: str) -> None:
    both = BothDatabases(dsn, url)
    for name in ("shop/carts", "shop/orders", "other/carts"):
        both.create(name)
        both.insert(name, b'{"_key":"a"}')
        both.copy(name)
    summary = both.crossfade_json(
        "archive", "export", "*/carts", "shop/*", "--to", "/nowhere", "--from", side, "--dry-run"
    )
    found = sorted(row["collection"] for row in summary)
    assert (found, json.dumps(summary).count('"to do"')) == (["other/carts", "shop/carts", "shop/orders"], 3)
