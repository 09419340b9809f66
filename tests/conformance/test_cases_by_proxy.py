"""The project's own cases through the proxy: in the shadow and flipped, services see what the development server says."""

from __future__ import annotations

import asyncio

import httpx

from proxy.wire.message import Request, Response
from tests.acceptance.stands import Stand
from tests.conformance import runner


class Sender:
    """A handler that sends what it is asked over HTTP."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def __call__(self, request: Request) -> Response:
        assert isinstance(request.body, bytes)
        answer = await self._client.request(
            request.method, request.target.decode(), headers=request.headers, content=request.body
        )
        return Response(answer.status_code, list(answer.headers.raw), answer.content)


async def tried(server: Stand, case: runner.Case) -> str:
    """What went wrong; empty if nothing did."""
    headers = {"accept-encoding": "identity"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=30) as client:
        try:
            await runner.run(Sender(client), case.steps)
        except AssertionError as failed:
            return str(failed)[:600]
    return ""


def test_every_case(server: Stand) -> None:
    wrong = {}
    for case in runner.load():
        if case.root_password is None:
            found = asyncio.run(tried(server, case))
            if found:
                wrong[case.name] = found
            server.clean()
    assert wrong == {}
    assert server.findings().get("mismatched", 0) == 0
