"""The end of a move, with everything that takes part: after it nothing opens a connection to ArangoDB."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path

import httpx
import pytest

from backfill.archive.export import Export, ExportOptions
from backfill.archive.progress import Silent
from backfill.archive.sources import FromPostgres
from backfill.completion import gate_evidence
from proxy.app.complete_application import CompleteApplication, is_complete
from proxy.base.arango_client import OriginClient
from proxy.base.config import load
from proxy.base.errors import UpstreamError, UpstreamUnavailable
from proxy.model.message import Request
from proxy.model.stages import CollectionState, Stage
from tests.harness import Running, eventually, running
from tests.integration.cli_fixtures import Shell, quiet_instances
from tests.integration.test_promote_whole import C, Writer, _promote

__all__ = ["quiet_instances"]  # a fixture that every test here uses

ALONE = {"x-crossfade-explain": "1"}


class Counted:
    """A server in the place of ArangoDB that counts the connections that are opened to it."""

    def __init__(self) -> None:
        self.connections = 0

    async def start(self, port: int) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", port)

    async def _connected(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        writer.close()

    async def stop(self) -> None:
        self._server.close()
        await self._server.wait_closed()


CHANGED = "UPDATE {} SET raw = $2::json, doc = _crossfade.queryable($2::json) WHERE key = $1"


async def _change_by_sql(stack: Running, key: str) -> None:
    """Change a document in PostgreSQL alone, its revision kept, as no proxy does."""
    relation = await stack.database.fetchval("SELECT relation FROM _crossfade.collection WHERE collection = $1", C)
    raw = await stack.database.fetchval(f"SELECT raw::text FROM {relation} WHERE key = $1", key)
    await stack.database.execute(CHANGED.format(relation), key, raw[:-1] + ',"by":"hand"}')


async def _blocked(shell: Shell, *more: str) -> dict[str, str]:
    """Return the gates that a dry run shows not to pass, and what was found."""
    tried = await shell("complete", "c", "--dry-run", "--json", *more)
    assert tried.json["would_be_refused"], tried.err
    assert tried.code == 1
    return {gate["name"]: gate["figures"] for gate in tried.json["gates"][C] if gate["verdict"] != "pass"}


async def test_clients_go_on_and_nothing_asks_arangodb(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate_evidence, "RECHECK_SECONDS", 0.0)
    counted = Counted()
    async with running(dsn, tmp_path, authentication=False, flip_hold_timeout=20.0, lease=10.0) as stack:
        await stack.client.post("/_api/collection", json={"name": "c"})
        for state in (
            CollectionState(Stage.MIRROR),
            CollectionState(Stage.SHADOW),
            CollectionState(Stage.FLIPPED, 100),
        ):
            await stack.move(state, C)
        first = (await stack.client.post("/_api/document/c", json={"_key": "a", "n": 0})).json()
        await stack.client.post("/_api/document/c", json={"_key": "z"})
        async with OriginClient(stack.origin.url, "root", "") as origin:
            await _promote(stack, origin)
        writer = Writer(stack.client, "a")
        writer.revision = first["_rev"]
        task = asyncio.create_task(writer.run())
        await eventually(lambda: writer.written > 10, "writes go on at PostgreSQL")
        shell = Shell({"CROSSFADE_DSN": dsn, "CROSSFADE_ORIGIN": stack.origin.url, "COLUMNS": "220"})
        await _change_by_sql(stack, "z")
        found = await _blocked(shell)
        assert set(found) == {"promoted long enough", "brown-out passed", "final archive", "both sides equal"}
        assert found["both sides equal"].endswith("2 documents: z: other content")
        refused = await shell("complete", "--all")
        assert (refused.code, "Completion blocked by 4 gates" in refused.err) == (1, True)
        put = await stack.client.put("/_api/document/c/z", json={"through": "a proxy"})  # which carries it to ArangoDB
        assert put.status_code == 202, put.text
        archive, page = tmp_path / "archive", tmp_path / "end.html"
        archive.mkdir()
        await Export(FromPostgres(stack.database, dsn), archive, Silent(), asyncio.Event(), ExportOptions()).run([C])
        found = await _blocked(shell, "--archive", str(archive))
        assert set(found) == {"promoted long enough", "brown-out passed"}, found
        given = ("--archive", str(archive), "--certificate", str(page), "--force", "--reason", "a test", "--json")
        done = await shell("complete", "c", *given)
        assert done.code == 0, done.err
        assert done.json["next"].startswith("end ArangoDB: no proxy asks it any more")
        certificate = json.loads(page.with_suffix(".json").read_text())
        assert certificate["holds"], certificate["problems"]
        assert certificate["collections"][0]["arangodb"] == certificate["collections"][0]["postgresql"]
        # read directly, not by what the command says
        mine = hashlib.sha256((await stack.direct.get("/_api/document/c/a")).content).digest()
        other = hashlib.sha256((await stack.direct.get("/_api/document/c/z")).content).digest()
        assert certificate["collections"][0]["arangodb"] == {
            "documents": 2,
            "checksum": f"{(int.from_bytes(mine) + int.from_bytes(other)) % (1 << 256):064x}",
        }
        assert certificate["audit"]["broken"] is None
        assert certificate["archive"]["collections"][0]["collection"] == C
        assert "holds" in page.read_text()
        assert (await shell("complete", "--all", "--json")).json["transitions"] == []
        assert stack.application.lease.snapshot.is_complete
        await stack.origin.stop()
        await counted.start(stack.origin.port)
        written = writer.written
        await eventually(lambda: writer.written > written + 20, "writes go on without ArangoDB")
        writer.ended = True
        await task
        await _use(stack.client)
        assert (await stack.client.get("/_api/document/c/a")).json()["n"] == writer.written
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{stack.application.admin_port}") as admin:
            assert (await admin.get("/check")).json()["arangodb"] == ""
        with pytest.raises(UpstreamUnavailable, match="every collection is complete"):
            await stack.application.origin.request(Request("GET", b"/_api/version"))
        assert await stack.database.fetchval("SELECT count(*) FROM _crossfade.outbox") == 0
    assert counted.connections == 0
    # the next start needs no setting of ArangoDB's, and none of the mode
    settings = load(dsn=dsn, listen_port=0, admin_port=0, state_dir=tmp_path / "state", authentication=False)
    assert await is_complete(settings)
    async with (
        CompleteApplication(settings) as alone,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{alone.port}") as client,
    ):
        assert (await client.get("/_api/document/c/a")).json()["n"] == writer.written
        assert (await client.get("/_api/document/made/b")).status_code == 200
        assert (await client.get("/_api/gharial/g")).status_code == 200
    assert counted.connections == 0
    async with OriginClient(stack.origin.url, "root", "") as origin:
        with pytest.raises(UpstreamError):
            await origin.version()
    assert counted.connections > 0  # it does count
    await counted.stop()


async def _use(client: httpx.AsyncClient) -> None:
    """Send requests that ArangoDB answered until now, or that make what it does not know."""
    for method, path, body in (
        ("GET", "/_api/version", None),
        ("GET", "/_api/collection", None),
        ("POST", "/_api/collection", {"name": "made"}),
        ("POST", "/_api/document/made", {"_key": "b"}),
        ("POST", "/_api/gharial", {"name": "g", "edgeDefinitions": [], "orphanCollections": ["made"]}),
        ("GET", "/_api/gharial", None),
        ("POST", "/_api/cursor", {"query": "FOR d IN c FOR m IN made RETURN [d._key, m._key]"}),
        ("POST", "/_api/database", {"name": "other"}),
        ("POST", "/_db/other/_api/collection", {"name": "there"}),
        ("GET", "/_api/user", None),
        ("POST", "/_api/index?collection=c", {"type": "persistent", "fields": ["n"]}),
        ("PUT", "/_api/collection/made/properties", {"waitForSync": True}),
    ):
        answer = await client.request(method, path, json=body, headers=ALONE)
        assert answer.status_code < 300, (method, path, answer.text)
        assert answer.headers["x-crossfade-served-by"] == "postgresql"
