"""Queries that are one statement give the results of the development server, and leave the same documents: also where
the statement is not exact, and they are evaluated.

COMPILED_SEQUENCES sets the number of sequences, COMPILED_SEQUENCE the only one, STORE_SEED another seed.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from functools import partial
from typing import Any, Final

import orjson
import pytest

from proxy.aql.compile.writes import CompiledWrite
from proxy.devserver.store import MemoryStore
from proxy.stores.postgres.catalog import Catalog
from proxy.stores.postgres.modifications import ModificationQueries
from proxy.stores.postgres.writes.key_assignment import KeyAssignment
from proxy.wire.decode import decode_parts
from tests.ad_hoc import Database
from tests.property.compiled_write_texts import Maker, documents
from tests.property.test_two_stores import SEED
from tests.property.test_two_stores_aql import Both, noted, pool
from tests.property.write_requests import Request

__all__ = ["pool"]
SEQUENCES: Final = int(os.environ.get("COMPILED_SEQUENCES", "60"))
ONLY: Final = os.environ.get("COMPILED_SEQUENCE")
LENGTH: Final = 10


class Counting(ModificationQueries):
    """Counts the queries that have a statement (compiled), and those for which it was exact (answered): loops, and
    INSERT and UPSERT of given rows.
    """

    def __init__(self, database: Database) -> None:
        super().__init__(database, Catalog(database), KeyAssignment())
        self.counts = Counter[str]()

    async def _plan(self, query: Any, request: Any) -> Any:
        plan = await super()._plan(query, request)
        self._kind = "given" if "INSERT" in request.query else "loops"
        self.counts[self._kind] += 1
        self.counts[f"{self._kind} compiled"] += isinstance(plan, CompiledWrite)
        return plan

    async def _compiled(self, *given: Any) -> Any:
        finished = await super()._compiled(*given)
        self.counts[f"{self._kind} answered"] += finished is not None
        return finished


@pytest.mark.parametrize("part", range(2))
async def test_compiled_modifications_are_the_same_in_both_stores(pool: Database, part: int) -> None:
    memory = MemoryStore()
    counts = Counter[str]()
    for sequence in range(part, SEQUENCES, 2) if ONLY is None else [int(ONLY)] * (part == 0):
        rng = random.Random(SEED * 1_000_000 + sequence)
        name = f"db{sequence}"
        memory.run(decode_parts("POST", b"/_api/database", [], orjson.dumps({"name": name})))
        both = Both(memory, pool, name)
        both.queries = counting = Counting(pool)
        with noted(sequence) as sent:
            for collection in ("c", "e"):
                edge = collection == "e"
                stores = await both.create(collection, {"name": collection, "type": 3 if edge else 2, "keyOptions": {}})
                body = orjson.dumps(documents(rng, edge=edge)).decode()
                await stores.both(Request("POST", f"/_db/{name}/_api/document/{collection}", (), body))
            await both.run_random(partial(Maker, rng), LENGTH, sent)
        counts += counting.counts
    if ONLY is None:
        assert counts["loops compiled"] > counts["loops"] * 0.7, counts
        assert counts["loops answered"] > counts["loops"] * 0.5, counts
        assert counts["given compiled"] > counts["given"] * 0.8, counts
        assert counts["given answered"] > counts["given"] * 0.3, counts
