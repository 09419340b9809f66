"""Holds a worker back for as long as its limits ask, keeping its chunk: the I/O around `throttle`."""

from __future__ import annotations

import asyncio
import contextlib
import time

from backfill import runs
from backfill.runs import SQL, Claim
from backfill.throttle import Figures, Limits, decide
from proxy.database import Database


async def hold_back(
    database: Database, claim: Claim, limits: Limits | None, figures: Figures, *, stop: asyncio.Event, lease: float
) -> None:
    """Waits as long as the limits ask for, keeping the lease; ends early when `stop` is set."""
    if limits is None or limits == Limits():
        return
    began = time.monotonic()
    while not stop.is_set():
        lag = await database.fetchval(SQL["mirror_lag"]) if limits.max_lag is not None else 0.0
        seconds = figures.seconds + time.monotonic() - began
        decision = decide(limits, Figures(figures.documents, seconds, lag))
        if decision.wait == 0:
            return
        await runs.renew(database, claim, lease)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), decision.wait)
