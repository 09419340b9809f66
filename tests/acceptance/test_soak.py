"""A short form of the soak against a model (`make soak-api`): no answer differs, nor do both databases (I7)."""

from __future__ import annotations

import asyncio

import pytest

from tests.acceptance.servers import Kind, ServerUnderTest
from tests.acceptance.soak import compare, prepare, soak


@pytest.mark.timeout(180)
def test_clients_see_the_documents_of_the_model(server: ServerUnderTest) -> None:
    """Each client a fixed number of operations, so that a slow machine does the same work."""

    async def play() -> list[str]:
        await prepare(server.url)
        report, workers = await soak(server.url, steps=15, clients=4, seed=7, stage=server.kind)
        if server.running is not None:
            await compare(report, workers, server.running.origin.url, server.running.dsn)
        elif server.kind is Kind.COMPLETE:
            await compare(report, workers, server.url, server.dsn)
        return report.wrong

    assert asyncio.run(play()) == []
    assert (server.served() > 0) == server.kind.reads_postgresql
