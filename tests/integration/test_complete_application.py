"""A proxy over PostgreSQL alone: when it starts, what it answers, and that it contacts no ArangoDB."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from proxy.app import CompleteApplication
from proxy.base.config import Settings, load
from proxy.base.errors import ConfigurationError, SchemaOutdated
from proxy.devserver.serve import DevelopmentServer
from proxy.model.revision import decode_rev
from proxy.wire.auth import make_token
from tests.ad_hoc import Database
from tests.harness import eventually
from tests.integration.target_fixtures import create, take_writes


def settings_of(dsn: str, folder: Path, **more: Any) -> Settings:
    given: dict[str, Any] = {"mode": "complete", "listen_port": 0, "admin_port": 0, "authentication": False, **more}
    return load(dsn=dsn, state_dir=folder / "state", **given)


@asynccontextmanager
async def clients_of(settings: Settings) -> AsyncIterator[tuple[httpx.AsyncClient, httpx.AsyncClient]]:
    """Run a proxy; yield clients of its listener and of its admin listener."""
    async with CompleteApplication(settings) as application:
        urls = [f"http://127.0.0.1:{port}" for port in (application.port, application.admin_port)]
        async with httpx.AsyncClient(base_url=urls[0]) as client, httpx.AsyncClient(base_url=urls[1]) as admin:
            yield client, admin


async def test_it_writes_and_reads_documents_and_contacts_no_arangodb(
    database: Database, dsn: str, tmp_path: Path
) -> None:
    contacted: list[str] = []

    async def contact(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        contacted.append("a connection")
        writer.close()

    origin = await asyncio.start_server(contact, "127.0.0.1", 0)
    await take_writes(database, "_system/things", {"keyOptions": {"type": "traditional", "allowUserKeys": True}})
    settings = settings_of(dsn, tmp_path, origin=f"http://127.0.0.1:{origin.sockets[0].getsockname()[1]}")
    async with clients_of(settings) as (client, admin):
        made = await client.post("/_api/document/things", json={"_key": "a", "n": 1})
        assert made.status_code == 202
        read = await client.get("/_api/document/things/a", headers={"x-crossfade-explain": "1"})
        assert read.json() == {**made.json(), "n": 1}
        assert read.headers["x-crossfade-served-by"] == "postgresql"
        assert (await admin.get("/readyz")).status_code == 200
        assert (await admin.get("/status")).json()["mode"] == "complete"
        assert (await admin.get("/check")).json()["postgresql"] == ""
        text = (await admin.get("/metrics")).text
        assert 'crossfade_requests_total{endpoint="document.insert",served_by="target",status="2xx"}' in text
    origin.close()
    assert contacted == []


async def test_it_purges_tombstones_and_folds_counts(database: Database, dsn: str, tmp_path: Path) -> None:
    relation = await take_writes(database, "_system/things", {"keyOptions": {"type": "traditional"}})

    async def purged() -> bool:
        return bool(await database.fetchval(f"SELECT count(*) = 0 FROM {relation} WHERE doc IS NULL"))

    async def folded() -> bool:
        return bool(await database.fetchval("SELECT count(*) <= 100 FROM _crossfade.count_change"))

    async with clients_of(settings_of(dsn, tmp_path, tombstone_seconds=0.2)) as (client, _):
        await client.post("/_api/document/things", json=[{"_key": "a"}, {"_key": "b"}])
        removed = (await client.delete("/_api/document/things/a")).json()
        await eventually(purged, "the tombstone is purged")
        made = (await client.post("/_api/document/things", json={"_key": "a"})).json()
        assert decode_rev(made["_rev"]) > decode_rev(removed["_rev"])
        for _ in range(120):
            await client.post("/_api/document/things", json={})
        await eventually(folded, "the changes of the count are put together")
        assert (await client.get("/_api/collection/things/count")).json()["count"] == 122


async def test_what_it_cannot_do_is_named_and_counted(dsn: str, tmp_path: Path) -> None:
    async with clients_of(settings_of(dsn, tmp_path)) as (client, admin):
        answer = await client.post("/_api/tasks", json={"command": "1"})
        assert answer.status_code == 501
        assert answer.json()["errorMessage"].startswith("unsupported by Crossfade: ")
        assert 'crossfade_unsupported_requests_total{endpoint="' in (await admin.get("/metrics")).text


async def test_paths_of_services_go_to_them(dsn: str, tmp_path: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello")
        await writer.drain()
        writer.close()

    service = await asyncio.start_server(answer, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{service.sockets[0].getsockname()[1]}"
    async with clients_of(settings_of(dsn, tmp_path, services={"/hi": address})) as (client, _):
        assert (await client.get("/hi/there")).text == "hello"
        assert (await client.get("/elsewhere")).status_code == 501
    service.close()


async def test_paths_of_foxx_services_are_refused_as_by_the_development_server(dsn: str, tmp_path: Path) -> None:
    async with (
        clients_of(settings_of(dsn, tmp_path)) as (client, admin),
        DevelopmentServer() as arangodb,
        httpx.AsyncClient(base_url=arangodb.url) as other,
    ):
        for method, path in (
            ("GET", "/"),
            ("GET", "/mine/x?y=1"),
            ("POST", "/mine"),
            ("DELETE", "/%20"),
            ("PUT", "//"),
        ):
            answer, expected = [await one.request(method, path, content=b"{}") for one in (client, other)]
            assert (answer.status_code, answer.json()) == (expected.status_code, expected.json()), path
            assert sorted(answer.headers) == sorted(expected.headers), path
        assert (await client.get("/mine/x")).json()["errorMessage"] == "unsupported by Crossfade: Foxx"
        assert 'crossfade_unsupported_requests_total{endpoint="foxx"}' in (await admin.get("/metrics")).text


async def test_it_refuses_to_start_while_arangodb_takes_writes(database: Database, dsn: str, tmp_path: Path) -> None:
    await take_writes(database, "shop/mine", {})
    await create(database, "shop/theirs")
    with pytest.raises(ConfigurationError, match=r"ArangoDB takes the writes of shop/theirs: set CROSSFADE_MODE"):
        async with CompleteApplication(settings_of(dsn, tmp_path)):
            pass


async def test_it_refuses_to_start_without_the_schema(empty_dsn: str, tmp_path: Path) -> None:
    with pytest.raises(SchemaOutdated, match="run `crossfade migrate`"):
        async with CompleteApplication(settings_of(empty_dsn, tmp_path)):
            pass


async def test_a_failure_of_postgresql_is_503_in_arangodbs_shape(database: Database, dsn: str, tmp_path: Path) -> None:
    relation = await take_writes(database, "_system/things", {})
    async with clients_of(settings_of(dsn, tmp_path)) as (client, _):
        await database.execute(f"ALTER TABLE {relation} RENAME COLUMN raw TO gone")
        answer = await client.get("/_api/document/things/a")
        assert answer.status_code == 503
        assert answer.json()["errorMessage"].startswith("PostgreSQL does not answer")


async def test_proxies_share_accounts_and_the_secret_of_tokens(dsn: str, tmp_path: Path) -> None:
    secured = {"authentication": True, "root_password": "r00t"}
    first, second = (settings_of(dsn, tmp_path / name, **secured) for name in ("a", "b"))
    async with clients_of(first) as (one, _), clients_of(second) as (other, _):
        root = httpx.BasicAuth("root", "r00t")
        assert (await one.get("/_api/version")).status_code == 401
        assert (await one.get("/_api/version", auth=("root", ""))).status_code == 401
        assert (await one.post("/_api/collection", json={"name": "c"}, auth=root)).status_code == 200
        assert (await one.post("/_api/user", json={"user": "ann", "passwd": "x"}, auth=root)).status_code == 201
        level = "/_api/user/ann/database/_system"
        assert (await one.put(level, json={"grant": "ro"}, auth=root)).status_code == 200
        token = (await one.post("/_open/auth", json={"username": "ann", "password": "x"})).json()["jwt"]
        bearer = {"authorization": f"bearer {token}"}
        assert (await other.get("/_api/collection/c/count", headers=bearer)).json()["count"] == 0
        refused = await other.post("/_api/document/c", json={}, headers=bearer)
        assert (refused.status_code, refused.json()["errorNum"]) == (403, 1004)
        assert (await one.put(level, json={"grant": "rw"}, auth=root)).status_code == 200
        assert (await other.post("/_api/document/c", json={}, headers=bearer)).status_code == 202
        assert (await one.delete("/_api/user/ann", auth=root)).status_code == 202

        async def refused_everywhere() -> bool:
            return (await other.get("/_api/document/c/absent", headers=bearer)).status_code == 401

        await eventually(refused_everywhere, "the other proxy notices that the user is gone")
        assert (await other.post("/_api/document/c", json={}, headers=bearer)).status_code == 401
        assert (await other.get("/_api/collection/c/count", auth=root)).json()["count"] == 1


async def test_a_token_is_refused_from_its_end_on(dsn: str, tmp_path: Path) -> None:
    settings = settings_of(dsn, tmp_path, authentication=True, root_password="r00t", jwt_secret="ours")
    async with clients_of(settings) as (client, _):
        for lifetime, status in ((60, 200), (-1, 401)):
            token = make_token("root", b"ours", time.time(), lifetime)
            answer = await client.get("/_api/version", headers={"authorization": f"bearer {token}"})
            assert answer.status_code == status


async def test_a_stream_transaction_that_is_used_all_the_time_ends_by_the_setting(dsn: str, tmp_path: Path) -> None:
    async with clients_of(settings_of(dsn, tmp_path, stream_transaction_seconds=0.2)) as (client, _):
        await client.post("/_api/collection", json={"name": "c"})
        begun = await client.post("/_api/transaction/begin", json={"collections": {"write": ["c"]}})
        named = {"x-arango-trx-id": begun.json()["result"]["id"]}
        assert (await client.post("/_api/document/c", json={"_key": "a"}, headers=named)).status_code in (202, 410)

        async def ended() -> bool:
            return bool((await client.get("/_api/document/c/a", headers=named)).json().get("errorNum") == 1654)

        await eventually(ended, "the transaction is aborted although it is used")
        assert (await client.get("/_api/document/c/a")).status_code == 404


async def test_tokens_of_arangodb_stay_valid_with_its_secret_which_one_proxy_shares(dsn: str, tmp_path: Path) -> None:
    secured = {"authentication": True, "root_password": "r00t"}
    keyfile = tmp_path / "keyfile"
    keyfile.write_text(" of-arangodb\n")
    token = {"authorization": f"bearer {make_token('root', b'of-arangodb', time.time())}"}
    async with clients_of(settings_of(dsn, tmp_path / "a", **secured)) as (other, _):
        assert (await other.get("/_api/version", headers=token)).status_code == 401
        given = (await other.post("/_open/auth", json={"username": "root", "password": "r00t"})).json()["jwt"]
        async with clients_of(settings_of(dsn, tmp_path / "b", jwt_secret_file=keyfile, **secured)) as (one, _):
            assert (await one.get("/_api/version", headers=token)).status_code == 200
            assert (await other.get("/_api/version", headers=token)).status_code == 200
            former = await other.get("/_api/version", headers={"authorization": f"bearer {given}"})
            assert former.status_code == 401
    async with clients_of(settings_of(dsn, tmp_path / "c", **secured)) as (again, _):
        assert (await again.get("/_api/version", headers=token)).status_code == 200


async def test_it_speaks_http2_and_velocypack(dsn: str, tmp_path: Path) -> None:
    async with CompleteApplication(settings_of(dsn, tmp_path)) as application:
        url = f"http://127.0.0.1:{application.port}"
        async with httpx.AsyncClient(base_url=url, http1=False, http2=True) as client:
            answer = await client.get("/_api/version", headers={"accept": "application/x-velocypack"})
            assert answer.http_version == "HTTP/2"
            assert answer.headers["content-type"] == "application/x-velocypack"
