"""How far the clocks of ArangoDB and of the proxies are ahead of PostgreSQL's, each asked a few times.

Of several answers the one that came fastest counts: a clock was read at some moment between question and answer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import sql
from proxy.base.arango_client import OriginClient, ask_instance
from proxy.base.database import Database
from proxy.base.errors import ArangoError, UpstreamError, UpstreamOutcomeUnknown
from proxy.control.gates.promotion_evidence import ClockFact

_TIMES: Final = 3
_TIMEOUT: Final = 4.0  # seconds


@dataclass(frozen=True, slots=True)
class ClockAnswer:
    """What a clock showed, and this machine's before and after, in seconds."""

    shown: float
    asked: float
    answered: float

    @property
    def ahead(self) -> float:
        """How far it is ahead of this machine's."""
        return self.shown - (self.asked + self.answered) / 2

    @property
    def uncertain(self) -> float:
        return (self.answered - self.asked) / 2


async def read_clocks(
    database: Database, origin: OriginClient, instances: Sequence[sql.control.InstanceRow]
) -> tuple[ClockFact, ...]:
    """Return the clocks of ArangoDB and of each instance. Raise DatabaseError."""

    async def of_target() -> float:
        return await database.fetchval(sql.promotion_gates.CLOCK)

    target = await _fastest(of_target)
    return (
        await _fact("ArangoDB", origin.clock, target),
        *await asyncio.gather(*(_of_instance(row, target) for row in instances)),
    )


async def _of_instance(row: sql.control.InstanceRow, target: ClockAnswer) -> ClockFact:
    url = row.admin_url
    if url is None:
        return ClockFact(row.instance, 0, 0, "it registered no admin address")

    async def asked() -> float:
        value = (await ask_instance(url, "/clock", {}, timeout=_TIMEOUT)).get("now")
        if not isinstance(value, float):
            raise UpstreamOutcomeUnknown("it shows no clock")
        return value

    return await _fact(row.instance, asked, target)


async def _fact(name: str, ask: Callable[[], Awaitable[float]], target: ClockAnswer) -> ClockFact:
    try:
        return compared(name, await _fastest(ask), target)
    except (UpstreamError, ArangoError) as error:
        return ClockFact(name, 0, 0, str(error))


def compared(name: str, found: ClockAnswer, target: ClockAnswer) -> ClockFact:
    """Return how far a clock is ahead of PostgreSQL's. Pure."""
    return ClockFact(name, found.ahead - target.ahead, found.uncertain + target.uncertain)


async def _fastest(ask: Callable[[], Awaitable[float]]) -> ClockAnswer:
    answers = []
    for _ in range(_TIMES):
        asked = time.time()
        began = time.monotonic()
        shown = await ask()
        answers.append(ClockAnswer(shown, asked, asked + time.monotonic() - began))
    return min(answers, key=lambda one: one.uncertain)
