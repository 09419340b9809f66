"""The development server against the project's own cases of the protocol."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.serve import StoreHandler
from proxy.stores.memory import MemoryStore
from tests.conformance import runner

_CASES = runner.load()


@pytest.mark.parametrize("steps", [steps for _, steps in _CASES], ids=[name for name, _ in _CASES])
async def test_case(steps: list[dict[str, Any]]) -> None:
    await runner.run(StoreHandler(MemoryStore()), steps)
