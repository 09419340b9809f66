"""The development server, and PostgreSQL alone, against the project's own cases of the protocol."""

from __future__ import annotations

import asyncio

import pytest

from proxy.devserver.serve import StoreHandler
from proxy.devserver.store import MemoryStore
from proxy.model.message import Handler, Request, Response
from tests.complete_fixtures import complete_store
from tests.conformance import runner

_CASES = runner.load()


class JobsDone:
    """A handler that answers a request for a job when the job is done, as the development server does."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    async def __call__(self, request: Request) -> Response:
        response = await self._handler(request)
        job = response.header(b"x-arango-async-id")
        while job is not None:
            state = await self._handler(Request("GET", b"/_api/job/" + job, request.credentials()))
            if state.status != 204:
                break
            await asyncio.sleep(0.01)
        return response


@pytest.mark.parametrize("case", _CASES, ids=[case.name for case in _CASES])
async def test_the_development_server_passes_the_case(case: runner.Case) -> None:
    store = MemoryStore(lock_wait=0.01)
    if case.root_password is not None:
        store.server.accounts.enforce(case.root_password)
    await runner.run(StoreHandler(store), case.steps)


@pytest.mark.parametrize("case", _CASES, ids=[case.name for case in _CASES])
async def test_postgresql_alone_passes_the_case(case: runner.Case, dsn: str) -> None:
    async with complete_store(dsn, lock_wait=0.01, root_password=case.root_password) as store:
        await runner.run(JobsDone(StoreHandler(store)), case.steps)
