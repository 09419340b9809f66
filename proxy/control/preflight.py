"""Asks every registered instance, at the address that it registered, whether it is ready for a change.

PostgreSQL holds what an instance last wrote there. This module asks each instance itself: it must answer, be the one
that is registered, run at the current generation, and reach both databases.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sql
from proxy.base.arango_client import ask_instance
from proxy.base.errors import UpstreamError

_TIMEOUT: Final = 4.0  # seconds; the instance gives each database less
_CANARY_TIMEOUT: Final = 20.0  # a push may wait for a lock


@dataclass(frozen=True, slots=True)
class InstanceAnswer:
    """One instance. trouble: why a change would fail with it, and what to do; empty if it would not.

    own_requests: how many requests of clients had Crossfade's own account in `watched_seconds`; None: unknown.
    authentication: it requires credentials where PostgreSQL takes the writes; None: unknown.
    """

    instance: str
    admin_url: str | None
    epoch: int | None = None
    generation: int | None = None
    backlog: int | None = None
    lag_seconds: float | None = None
    trouble: str = ""
    own_requests: int | None = None
    authentication: bool | None = None
    watched_seconds: float = 0.0


async def ask_instances(registered: Sequence[sql.control.InstanceRow], generation: int) -> tuple[InstanceAnswer, ...]:
    """Ask every instance of these rows (sql/queries/control.sql, `instances`), concurrently."""
    return tuple(await asyncio.gather(*(_one(row, generation) for row in registered)))


async def _one(row: sql.control.InstanceRow, generation: int) -> InstanceAnswer:
    instance, url = row.instance, row.admin_url
    if url is None:
        return InstanceAnswer(instance, None, trouble="it registered no admin address")
    try:
        said = await ask_instance(url, "/check", {}, timeout=_TIMEOUT)
    except UpstreamError as error:
        silent = f", and silent for {row.heartbeat_age:.0f} s" if row.lease_left <= 0 else ""
        where = f"{url} does not answer from here ({error}){silent}: set its CROSSFADE_ADMIN_ADVERTISE to what does"
        return InstanceAnswer(instance, url, trouble=where)
    return judge(instance, url, said, generation)


def judge(instance: str, url: str, said: Mapping[str, Any], generation: int) -> InstanceAnswer:
    """Return what its answer shows. Pure."""
    other = said.get("instance")
    if other != instance:
        why = f"{url} is {other or 'no Crossfade'}: set its CROSSFADE_ADMIN_ADVERTISE to an address that is its own"
        return InstanceAnswer(instance, url, trouble=why)
    troubles = []
    if said.get("generation") != generation:
        troubles.append(f"it runs at generation {said.get('generation')}, not {generation}: try again in a moment")
    if said.get("diverged"):
        troubles.append("it is diverged: see its log, and the file origin-only in its state directory")
    troubles += [f"its mirror waits for PostgreSQL: {why}" for why in said.get("waits_for", ())]
    for name, label in (("postgresql", "PostgreSQL"), ("arangodb", "ArangoDB")):
        if said.get(name, "not asked"):
            troubles.append(f"{label} does not answer it: {said.get(name, 'not asked')}")
    own = said.get("own_account", {})
    return InstanceAnswer(
        instance,
        url,
        said.get("epoch"),
        said.get("generation"),
        said.get("backlog"),
        said.get("lag_seconds"),
        "; ".join(troubles),
        own_requests=own.get("requests"),
        authentication=said.get("authentication"),
        watched_seconds=own.get("seconds", 0.0),
    )


async def ask_canary(row: sql.control.InstanceRow, database: str) -> tuple[str, float]:
    """Let an instance prove the channel to a database of ArangoDB; return what failed, in words, and the seconds."""
    if row.admin_url is None:
        return "it registered no admin address", 0.0
    try:
        said = await ask_instance(
            row.admin_url, "/canary", {"database": database}, timeout=_CANARY_TIMEOUT, method="POST"
        )
    except UpstreamError as error:
        return str(error), 0.0
    trouble, seconds = said.get("trouble"), said.get("seconds")
    if said.get("instance") != row.instance or not isinstance(trouble, str) or not isinstance(seconds, float):
        return f"{row.admin_url} is another instance, or one without ArangoDB", 0.0
    return trouble, seconds
