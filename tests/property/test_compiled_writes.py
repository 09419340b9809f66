"""Queries that are one statement, and those that write in batches, give the results of the development server, and
leave the same documents.

COMPILED_SEQUENCES sets the number of sequences, COMPILED_SEQUENCE the only one, STORE_SEED another seed.
"""

from __future__ import annotations

import os
import random
from typing import Any, Final

import orjson
import pytest

from proxy.aql.compile.writes import BatchedWrite, CompiledWrite
from proxy.base.database import Session
from proxy.devserver.store import MemoryStore
from proxy.stores.postgres.catalog import Catalog
from proxy.stores.postgres.modifications import ModificationQueries
from proxy.stores.postgres.writes.key_assignment import KeyAssignment
from proxy.wire.decode import decode_parts
from tests.ad_hoc import Database
from tests.property.compiled_write_texts import Maker, documents
from tests.property.test_two_stores import SEED
from tests.property.test_two_stores_aql import Both, pool
from tests.property.write_requests import Request

__all__ = ["pool"]
SEQUENCES: Final = int(os.environ.get("COMPILED_SEQUENCES", "60"))
ONLY: Final = os.environ.get("COMPILED_SEQUENCE")
LENGTH: Final = 10


class Counting(ModificationQueries):
    """Counts the queries that have a statement (compiled), those for which it was exact (answered), and the batched."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, Catalog(database), KeyAssignment())
        self.asked = self.compiled = self.answered = self.batched = 0

    async def _plan(self, *given: Any) -> Any:
        plan = await super()._plan(*given)
        self.batched += isinstance(plan, BatchedWrite)
        self.asked += not isinstance(plan, BatchedWrite)
        self.compiled += isinstance(plan, CompiledWrite)
        return plan

    async def _compiled(self, session: Session, *given: Any) -> Any:
        finished = await super()._compiled(session, *given)
        self.answered += finished is not None
        return finished


@pytest.mark.parametrize("part", range(2))
async def test_compiled_modifications_are_the_same_in_both_stores(pool: Database, part: int) -> None:
    memory = MemoryStore()
    asked = compiled = answered = batched = 0
    for sequence in range(part, SEQUENCES, 2) if ONLY is None else [int(ONLY)] * (part == 0):
        rng = random.Random(SEED * 1_000_000 + sequence)
        name = f"db{sequence}"
        memory.run(decode_parts("POST", b"/_api/database", [], orjson.dumps({"name": name})))
        both = Both(memory, pool, name)
        both.queries = counting = Counting(pool)
        sent: list[Any] = []
        try:
            for collection in ("c", "e"):
                edge = collection == "e"
                stores = await both.create(collection, {"name": collection, "type": 3 if edge else 2, "keyOptions": {}})
                body = orjson.dumps(documents(rng, edge=edge)).decode()
                await stores.both(Request("POST", f"/_db/{name}/_api/document/{collection}", (), body))
            for _ in range(LENGTH):
                keys = sorted({key for stores in both.collections.values() for key in stores.stored})
                sent.append(Maker(rng, keys).query())
                await both.run(sent[-1])
        except Exception as error:
            error.add_note(f"sequence {sequence}:\n" + "\n".join(map(str, sent)))
            raise
        asked += counting.asked
        compiled += counting.compiled
        answered += counting.answered
        batched += counting.batched
    if ONLY is None:
        assert compiled > asked * 0.7, (asked, compiled, answered)
        assert answered > asked * 0.5, (asked, compiled, answered)
        assert batched > asked * 0.3, (asked, batched)
