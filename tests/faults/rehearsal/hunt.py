"""Random writes until one touches a mutant: that very write must be judged `different`.

A write touches it if a copy of the server, with the same clock, answers it otherwise under the mutant, or stores
something else. The rehearsal never sees the copy: it has the answer of the server without the mutant.
"""

from __future__ import annotations

import copy
import random
from dataclasses import dataclass
from typing import Any, Final

import orjson

from proxy.model.operations import Operation, Outcome
from proxy.rehearsal.observed import as_sent
from proxy.rehearsal.verdicts import Different, NoVerdict, Verdict
from proxy.wire.decode import decode_parts
from tests.faults.rehearsal.mutated_rules import RuleMutant
from tests.property.rehearsed_writes import Stage, stage_of
from tests.property.write_requests import Maker, properties, unique_indexes

LENGTH: Final = 25  # writes of one collection
MOST: Final = 200  # collections


class _Eager(Maker):
    """Requests in which rare parts are more frequent."""

    def _value(self, depth: int = 0) -> Any:
        return self._rng.choice((0, 1, 2, 1.5, 1.0)) if self._rng.random() < 0.3 else super()._value(depth)

    def _versioned(self, params: dict[str, str]) -> dict[str, str]:
        if self._rng.random() < 0.3:
            params["versionAttribute"] = self._rng.choice(("v", "n"))
        return params


@dataclass(frozen=True, slots=True)
class Hunted:
    """The end of a hunt. verdict: of the write that touched the mutant; None if none did. writes: how many of them.

    unknown: writes that touched it before, and had no verdict, since it is not known what they met.
    """

    verdict: Verdict | None
    operation: Operation | None
    writes: int
    unknown: int

    @property
    def found(self) -> bool:
        return isinstance(self.verdict, Different)


async def hunt(mutant: RuleMutant, seed: int = 0) -> Hunted:
    """Send random writes until one touches the mutant, and return how that was judged."""
    writes = unknown = 0
    for number in range(MOST):
        rng = random.Random(seed * MOST + number)
        definition = properties(rng, "c")
        if definition["keyOptions"]["type"] == "uuid":  # two copies of a server would make different ones
            definition["keyOptions"]["type"] = "traditional"
        stage = stage_of(definition, unique_indexes(rng))
        maker = _Eager(rng, "c", stage.stored)
        for _ in range(LENGTH):
            operation = next_write(maker)
            writes += 1
            touched = _touches(mutant, stage, as_sent(operation))
            write = stage.observe(operation)
            rules = await stage.of(write.collection)
            with mutant.applied():
                stage.rules = rules  # as they were read: the server makes them, not the rules
                verdict = await stage.judge.judge(write)
                stage.rules = None
            if touched and not isinstance(verdict, NoVerdict):
                return Hunted(verdict, operation, writes, unknown)
            unknown += touched
            assert not isinstance(verdict, Different), (mutant.name, operation, verdict)
    return Hunted(None, None, writes, unknown)


def next_write(maker: Maker) -> Operation:
    """Return the next request that writes documents of the collection, and that is captured."""
    while True:
        request = maker.request()
        headers = [(name.encode(), value.encode()) for name, value in request.headers]
        operation = decode_parts(request.method, request.target.encode(), headers, request.body.encode())
        writes = operation.endpoint.capture == "documents" and operation.collection == "c"
        if writes and "isRestore" not in operation.params:
            return operation


def _touches(mutant: RuleMutant, stage: Stage, sent: Operation) -> bool:
    with_it, without = copy.deepcopy(stage.memory), copy.deepcopy(stage.memory)
    with mutant.applied():
        ours = with_it.run(sent)
    theirs = without.run(sent)
    if (ours.status, _shown(ours), ours.headers) != (theirs.status, _shown(theirs), theirs.headers):
        return True
    one, other = (memory.server.databases["_system"].collections["c"].documents for memory in (with_it, without))
    return dict(one) != dict(other)


def _shown(outcome: Outcome) -> Any:
    """Return an answer without the texts of its errors, which are not compared."""
    body = orjson.loads(outcome.body) if outcome.body else None
    for element in body if isinstance(body, list) else [body]:
        if isinstance(element, dict) and element.get("error") is True:
            element.pop("errorMessage", None)
    return body
