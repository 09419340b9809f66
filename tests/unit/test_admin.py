"""The admin listener over real HTTP: it tells everything and changes nothing."""

from __future__ import annotations

import httpx
import pytest

from proxy.admin import AdminServer, create
from proxy.errors import ConfigurationError


async def test_it_answers_health_readiness_status_metrics_and_a_page() -> None:
    reason: list[str | None] = ["PostgreSQL has not been reached yet"]
    server = AdminServer(create(lambda: {"backlog": 3}, lambda: reason[0]), "127.0.0.1", 0)
    await server.start()
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client:
            assert (await client.get("/healthz")).json() == {"status": "ok"}
            assert (await client.get("/status")).json() == {"backlog": 3}
            not_ready = await client.get("/readyz")
            assert (not_ready.status_code, not_ready.json()["reason"]) == (503, "PostgreSQL has not been reached yet")
            reason[0] = None
            assert (await client.get("/readyz")).status_code == 200
            scraped = await client.get("/metrics")
            assert "crossfade_open_intents" in scraped.text
            assert scraped.headers["content-type"].startswith("text/plain")
            assert "Crossfade" in (await client.get("/")).text
            assert (await client.post("/status")).status_code == 405
    finally:
        await server.close()


async def test_a_port_that_is_taken_stops_the_start_with_a_sentence() -> None:
    first = AdminServer(create(dict, lambda: None), "127.0.0.1", 0)
    await first.start()
    try:
        second = AdminServer(create(dict, lambda: None), "127.0.0.1", first.port)
        with pytest.raises(ConfigurationError, match="CROSSFADE_ADMIN_PORT"):
            await second.start()
    finally:
        await first.close()
