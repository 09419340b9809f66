"""The project's own cases through the proxy: in the shadow and flipped, services see ArangoDB's answers."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import httpx
import pytest

from proxy.model.message import Request, Response
from tests.acceptance.servers import Kind, ServerUnderTest
from tests.conformance import runner

# a path that is none of ArangoDB's own belongs to the document services behind the proxy (a Foxx service's is reached
# with its database before it)
_SERVICE_PATH = re.compile(r"[A-Z]+ /[^_]")


class Sender:
    """A handler that forwards its requests over HTTP."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def __call__(self, request: Request) -> Response:
        assert isinstance(request.body, bytes)
        answer = await self._client.request(
            request.method,
            request.target.decode(),
            headers=[(name, value.strip()) for name, value in request.headers],  # the client is strict about blanks
            content=request.body,
        )
        return Response(answer.status_code, list(answer.headers.raw), answer.content)


async def run_case(server: ServerUnderTest, steps: list[dict[str, Any]]) -> str:
    """Return what went wrong, or an empty text."""
    headers = {"accept-encoding": "identity"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=30, verify=False) as client:
        try:
            await runner.run(Sender(client), steps)
        except AssertionError as failed:
            return str(failed)[:600]
    return ""


@pytest.mark.long
@pytest.mark.timeout(320)
@pytest.mark.parametrize("server", [Kind.SHADOW, Kind.FLIPPED], indirect=True, scope="module")
def test_every_case_passes_through_the_proxy(server: ServerUnderTest) -> None:
    wrong = {}
    for case in runner.load():
        if case.root_password is not None:  # the proxy's own account would not know it: see test_permissions
            continue
        steps = [step for step in case.steps if not _SERVICE_PATH.match(step["send"])]
        found = asyncio.run(run_case(server, steps))
        if found:
            wrong[case.name] = found
        server.clean()
        server.settle()  # else the mirror's own queries are among ArangoDB's
    assert wrong == {}
    assert server.findings()["mismatched"] == 0
