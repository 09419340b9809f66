"""The commands of the manifests in deploy/ run with the settings and constraints that they declare."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from deploy.demo.postgres import EmbeddedPostgres
from proxy.base.errors import DatabaseUnavailable
from proxy.base.free_port import free_port
from proxy.devserver.store import MemoryStore
from proxy.model.stages import CollectionState, Stage
from tests.ad_hoc import Database
from tests.conftest import migrated_template
from tests.harness import Origin, differences, eventually, running
from tests.integration.container_limits import ROOT, STATE, crossfade, environment, possible

DOCUMENTS = [
    document
    for file in ("control.yaml", "sidecar.yaml")
    for document in yaml.safe_load_all((ROOT / "deploy/kubernetes" / file).read_text())
]
SECRET = next(one for one in DOCUMENTS if one["kind"] == "Secret")["stringData"]
ORDERS = "shop/orders"


def container(name: str) -> dict[str, Any]:
    """Return a container of the manifests, of any pod."""
    pods = [one["spec"]["template"]["spec"] for one in DOCUMENTS if "template" in one.get("spec", {})]
    every = [one for pod in pods for one in (*pod.get("initContainers", ()), *pod["containers"])]
    (found,) = [one for one in every if one["name"] == name]
    return dict(found)


def settings_of(declared: dict[str, Any], origin: str, dsn: str, **more: str) -> dict[str, str]:
    """Return the declared environment, with the servers and ports of the test and the pod's address."""
    assert declared["envFrom"] == [{"secretRef": {"name": "crossfade"}}]
    declared_values = {one["name"]: one.get("value", "127.0.0.1") for one in declared.get("env", ())}
    servers = {"CROSSFADE_ORIGIN": origin, "CROSSFADE_DSN": dsn, "CROSSFADE_ORIGIN_USER": "root"}
    return environment({**SECRET, **declared_values, **servers, "CROSSFADE_ORIGIN_PASSWORD": "", **more})


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    server = Origin(MemoryStore())
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Create an empty root, and the folder mounted as the state directory."""
    root, state = tmp_path / "root", tmp_path / "state"
    root.mkdir()
    state.mkdir()
    reason = possible(root)
    if reason:
        pytest.skip(reason)
    return root, state


async def ended(command: list[str], environment: dict[str, str]) -> tuple[int, str]:
    done = await asyncio.to_thread(
        subprocess.run, command, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    return done.returncode, done.stdout + done.stderr


@contextlib.asynccontextmanager
async def sidecar(
    folders: tuple[Path, Path], origin: str, dsn: str, tmp_path: Path
) -> AsyncIterator[tuple[httpx.AsyncClient, int]]:
    """Start the sidecar's container as declared; yield a client of it and its admin port once it is ready."""
    declared = container("crossfade")
    port, admin = free_port(), free_port()
    ports = {"CROSSFADE_LISTEN_PORT": str(port), "CROSSFADE_ADMIN_PORT": str(admin), "CROSSFADE_STATE_DIR": STATE}
    ports |= {"CROSSFADE_MAX_CAPTURED_BODY": str(8 << 20)}  # 64 MiB take the test too long
    assert {one["mountPath"] for one in declared["volumeMounts"]} == {
        "/var/lib/crossfade"
    }  # the image's state directory
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            crossfade(*folders, *declared["args"]),
            env=settings_of(declared, origin, dsn, **ports),
            stdout=log,
            stderr=log,
        )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", auth=("root", ""), timeout=60) as client:

            async def ready() -> bool:
                assert process.poll() is None, (tmp_path / "log").read_text()
                with contextlib.suppress(httpx.HTTPError):
                    probe = declared["readinessProbe"]["httpGet"]
                    return (await client.get(f"http://127.0.0.1:{admin}{probe['path']}")).status_code == 200
                return False

            await eventually(ready, "the sidecar is ready")
            yield client, admin
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, 60)


async def test_the_sidecar_runs_with_a_read_only_root(
    folders: tuple[Path, Path], origin: Origin, dsn: str, tmp_path: Path, database: Database
) -> None:
    """Large bodies of unknown length go through, captured or not, and operators reach it by its pod's address."""

    async def body(size: int) -> AsyncIterator[bytes]:
        yield b'{"_key": "k%d", "v": "' % size
        for _ in range(size >> 20):
            yield b"x" * (1 << 20)
        yield b'"}'

    async with sidecar(folders, origin.url, dsn, tmp_path) as (client, admin):
        await client.post("/_db/_system/_api/database", json={"name": "shop"})
        await client.post("/_db/shop/_api/collection", json={"name": "orders"})
        url = "/_db/shop/_api/document/orders"
        plain = await client.post(url, content=body(6 << 20))
        assert plain.status_code in (201, 202), plain.text
        row = await database.fetchrow("SELECT host, admin_url FROM _crossfade.instance")
        assert tuple(row) == ("resume-service-0", f"http://127.0.0.1:{admin}")  # type: ignore[arg-type]
        cli = settings_of(container("cli"), origin.url, dsn, CROSSFADE_STATE_DIR=STATE)
        code, output = await ended(crossfade(*folders, "mirror", ORDERS, "--dry-run"), cli)
        assert (code, f"ready at http://127.0.0.1:{admin}" in output) == (0, True), output
        code, output = await ended(crossfade(*folders, "mirror", ORDERS), cli)
        assert code == 0, output
        for size in (6 << 20, 9 << 20):  # captured; above CROSSFADE_MAX_CAPTURED_BODY
            written = await client.post(url + "?overwrite=true&silent=true", content=body(size))
            assert written.status_code in (201, 202), written.text
        assert (await client.get(f"/_db/shop/_api/document/orders/k{9 << 20}")).status_code == 200

        async def marked() -> bool:
            return bool(await database.fetchval("SELECT count(*) FROM _crossfade.unverified"))

        await eventually(marked, "the uncaptured write has a mark")
    assert "Traceback" not in (tmp_path / "log").read_text()


async def test_the_auxiliary_commands_run_under_their_constraints(
    folders: tuple[Path, Path], origin: Origin, empty_dsn: str
) -> None:
    """The Job migrates, twice as well; the worker works; both without any writable folder."""
    for name, more in (("migrate", ()), ("migrate", ()), ("worker", ("--no-watch",))):
        declared = container(name)
        arguments = [one for one in declared["args"] if one != "--daemon" or not more]
        code, output = await ended(crossfade(*folders, *arguments), settings_of(declared, origin.url, empty_dsn))
        assert code == 0, (name, output)
    assert container("worker")["args"][-1] == "--daemon"


async def test_a_read_only_state_directory_prevents_the_start(
    folders: tuple[Path, Path], origin: Origin, dsn: str
) -> None:
    declared = container("crossfade")
    unreachable = settings_of(declared, origin.url, dsn, CROSSFADE_STATE_DIR="/opt/state")
    code, output = await ended(crossfade(*folders, *declared["args"]), unreachable)
    assert (code, "set CROSSFADE_STATE_DIR" in output) == (2, True), output


async def test_a_new_pod_during_an_outage_of_postgresql_serves_and_joins_later(tmp_path: Path) -> None:
    """It forwards, journals every write, and rolls flips back before PostgreSQL serves a read again."""
    with EmbeddedPostgres(options={"fsync": "off", "shared_buffers": "16MB"}) as server:
        await migrated_template(server.dsn)
        dsn = server.dsn.rsplit("/", 1)[0] + "/migrated"
        async with running(dsn, tmp_path / "old") as old:
            await old.client.post("/_db/_system/_api/database", json={"name": "shop"})
            await old.client.post("/_db/shop/_api/collection", json={"name": "orders"})
            for stage in (Stage.MIRROR, Stage.SHADOW):
                await old.move(CollectionState(stage), ORDERS)
            await old.client.post("/_db/shop/_api/document/orders", json={"_key": "before"})
            await old.drained()
            await old.database.execute("UPDATE _crossfade.collection SET stage = 'flipped', weight = 100")
            await old.database.execute("UPDATE _crossfade.control SET generation = generation + 1")
            store = old.origin.store
        server.stop("immediate")
        with pytest.raises(DatabaseUnavailable):
            async with running(dsn, tmp_path / "strict", start_without_postgresql="refuse"):
                pass
        async with running(dsn, tmp_path / "new", store=store) as new:
            status = new.application.status()
            assert (status["may_read_target"], status["diverged"]) == (False, True)
            written = await new.client.post("/_db/shop/_api/document/orders", json={"_key": "during"})
            assert written.status_code == 202
            assert (await new.client.get("/_db/shop/_api/document/orders/during")).status_code == 200
            assert new.application.mirror.backlog == 1, "the write is in the journal"
            server.start()
            await eventually(lambda: not new.application.lease.diverged, "it has joined")
            stage = await new.database.fetchval("SELECT stage FROM _crossfade.collection WHERE collection = $1", ORDERS)
            assert stage == "shadow", "the flip is rolled back: other proxies could lack its writes"
            await new.drained()
            assert await differences(new.origin.url, dsn, ORDERS) == []
