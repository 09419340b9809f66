"""Handlers over views, in passes, answer as over everything in memory."""

from __future__ import annotations

import random

import pytest

from proxy.devserver.store import MemoryStore
from tests.integration.answers_alike import Client, compare, walk
from tests.integration.complete_sequences import SEQUENCES
from tests.unit.complete.view_store import ViewStore


@pytest.mark.parametrize("name", SEQUENCES)
async def test_a_sequence_is_answered_as_in_memory(name: str) -> None:
    await compare(Client(ViewStore()), Client(MemoryStore(lock_wait=0)), SEQUENCES[name])


@pytest.mark.parametrize("seed", range(20))
async def test_so_it_is_in_any_order(seed: int) -> None:
    await compare(Client(ViewStore()), Client(MemoryStore(lock_wait=0)), walk(random.Random(seed), 200))
