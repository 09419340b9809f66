"""The development server against the project's own cases of the protocol."""

from __future__ import annotations

import pytest

from proxy.devserver.serve import StoreHandler
from proxy.devserver.store import MemoryStore
from tests.conformance import runner

_CASES = runner.load()


@pytest.mark.parametrize("case", _CASES, ids=[case.name for case in _CASES])
async def test_the_development_server_passes_the_case(case: runner.Case) -> None:
    store = MemoryStore(lock_wait=0.01)
    if case.root_password is not None:
        store.server.accounts.enforce(case.root_password)
    await runner.run(StoreHandler(store), case.steps)
