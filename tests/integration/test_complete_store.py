"""PostgreSQL alone answers each endpoint as the development server does. STORE_WALKS: how many random walks."""

from __future__ import annotations

import os
import random
from collections.abc import AsyncIterator
from typing import Final

import pytest

from proxy.base.database import Database
from proxy.complete import CompleteStore
from proxy.devserver.store import MemoryStore
from tests.integration.answers_alike import Client, compare, walk
from tests.integration.complete_sequences import SEQUENCES

WALKS: Final = int(os.environ.get("STORE_WALKS", "4"))
LENGTH: Final = 120


@pytest.fixture
async def pool(dsn: str) -> AsyncIterator[Database]:
    opened = await Database.open(dsn, size=6)
    yield opened
    await opened.close()


@pytest.fixture
async def store(pool: Database) -> AsyncIterator[CompleteStore]:
    made = CompleteStore(pool)
    yield made
    await made.close()


@pytest.mark.parametrize("name", SEQUENCES)
async def test_each_answer_is_that_of_the_development_server(store: CompleteStore, name: str) -> None:
    await compare(Client(store), Client(MemoryStore(lock_wait=0)), SEQUENCES[name])


@pytest.mark.parametrize("seed", range(WALKS))
async def test_so_it_is_in_any_order(store: CompleteStore, seed: int) -> None:
    await compare(Client(store), Client(MemoryStore(lock_wait=0)), walk(random.Random(seed), LENGTH))
