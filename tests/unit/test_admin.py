"""The admin listener over real HTTP: it tells everything and changes nothing."""

from __future__ import annotations

import re
import socket

import httpx
import pytest

from proxy.admin import AdminServer, create
from proxy.base.errors import ConfigurationError


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
            assert "crossfade_journal_open_intents" in scraped.text
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


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8531", 200),
        ("localhost", 200),
        ("[::1]:8531", 200),
        ("10.1.2.3", 200),
        (socket.gethostname(), 200),
        ("proxy:8531", 200),
        ("crossfade.shop.svc:8531", 200),
        ("crossfade.shop.svc.cluster.local", 200),
        ("rebound.example", 403),
        ("127.0.0.1.rebound.example:8531", 403),
        ("localhost.rebound.example", 403),
        ("svc.rebound.example", 403),
        ("", 403),
        ("a b", 403),
    ],
)
async def test_only_its_own_names_are_answered(host: str, status: int) -> None:
    """A page on the web whose name resolves to 127.0.0.1 must not read a proxy's state."""
    app = create(lambda: {"backlog": 3}, lambda: None, hosts=("127.0.0.1", "proxy"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
        for path in ("/status", "/trace?collection=a/b&key=1", "/metrics", "/"):
            assert (await client.get(path, headers={"host": host})).status_code == status, path


@pytest.mark.parametrize(
    ("origin", "status"),
    [("http://127.0.0.1:8531", 200), ("http://[::", 403), ("https://rebound.example", 403), ("null", 403)],
)
async def test_a_page_of_another_origin_is_refused(origin: str, status: int) -> None:
    app = create(dict, lambda: None)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8531") as client:
        assert (await client.get("/status", headers={"origin": origin})).status_code == status


async def test_browsers_are_told_to_run_nothing_but_the_page_itself() -> None:
    app = create(dict, lambda: None)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
        for path, host in (("/", "127.0.0.1"), ("/status", "127.0.0.1"), ("/", "rebound.example")):
            answer = await client.get(path, headers={"host": host})
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe-inline" not in policy
            assert "frame-ancestors 'none'" in policy
            assert answer.headers["x-content-type-options"] == "nosniff"
        page = (await client.get("/")).text
    assert not re.search(r"\sstyle=|\son\w+=", page), "the policy lets no inline attribute act"
