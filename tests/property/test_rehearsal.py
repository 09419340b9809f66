"""Random writes on the development server are rehearsed with its own answer: never a difference, mostly a verdict.

REHEARSAL_SEQUENCES sets the number of sequences.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from typing import Final

from proxy.model.operations import Operation
from proxy.rehearsal.verdicts import Different, NoVerdict
from proxy.wire.decode import decode_parts
from tests.property.rehearsed_writes import stage_of
from tests.property.write_requests import Maker, properties, unique_indexes

SEQUENCES: Final = int(os.environ.get("REHEARSAL_SEQUENCES", "60"))
LENGTH: Final = 15


async def test_random_writes_are_rehearsed_alike() -> None:
    found: Counter[str] = Counter()
    for seed in range(SEQUENCES):
        rng = random.Random(seed)
        stage = stage_of(properties(rng, "c"), unique_indexes(rng))
        maker = Maker(rng, "c", stage.stored)
        for _ in range(LENGTH):
            operation = _document_write(maker)
            verdict = await stage.judge.judge(stage.observe(operation))
            assert not isinstance(verdict, Different), f"sequence {seed}: {operation} {verdict}"
            found[verdict.reason if isinstance(verdict, NoVerdict) else ""] += 1

    assert found[""] > 0.85 * found.total(), found


def _document_write(maker: Maker) -> Operation:
    """Return the next request that writes documents of the collection, and that is captured."""
    while True:
        request = maker.request()
        headers = [(name.encode(), value.encode()) for name, value in request.headers]
        operation = decode_parts(request.method, request.target.encode(), headers, request.body.encode())
        writes = operation.endpoint.capture == "documents" and operation.collection == "c"
        if writes and "isRestore" not in operation.params:
            return operation
