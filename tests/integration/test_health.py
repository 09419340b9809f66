"""The health of an instance: whether both databases answer it now, which a dry run relies on."""

from __future__ import annotations

from pathlib import Path

from proxy.base.arango_client import ask_instance
from proxy.base.free_port import free_port
from proxy.gateway.health import probe
from tests.ad_hoc import Database
from tests.harness import running


async def test_an_instance_reports_its_health(dsn: str, tmp_path: Path) -> None:
    async with running(dsn, tmp_path) as stack:
        application = stack.application
        health = await ask_instance(f"http://127.0.0.1:{application.admin_port}", "/check", {}, timeout=20)
        assert health["instance"] == application.instance
        assert (health["postgresql"], health["arangodb"], health["backlog"], health["diverged"]) == ("", "", 0, False)
        assert health["generation"] == application.lease.generation
        await stack.origin.stop()
        unreachable = await Database.open(f"postgresql://nobody@127.0.0.1:{free_port()}/x")
        found = await probe(unreachable, application.origin)
        await unreachable.close()
        assert found["postgresql"]
        assert found["arangodb"]
