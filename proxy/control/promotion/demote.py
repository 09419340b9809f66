"""Demote: ArangoDB takes the writes of promoted collections again (promotion-protocol, "Demote").

PostgreSQL takes no more of them from the begin on, which needs no acknowledgement: the fence refuses whoever did not
notice, and reads go on from PostgreSQL. The reverse mirror carries what ArangoDB lacks; then ArangoDB's clock must have
passed the newest revision, and one transaction lets ArangoDB take the writes. Its users get their rights back after it.
PostgreSQL's unique indexes end with it: ArangoDB has the unique values then.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import sql
from proxy.base import failpoints
from proxy.base.arango_client import OriginClient
from proxy.base.config import Settings
from proxy.base.database import Database, Session
from proxy.base.errors import PreconditionFailed
from proxy.control.controller import Changed, learned
from proxy.control.epoch import EpochRun, EpochStep, EpochWork, Progress, TimedOut, Waiting, ignore_progress
from proxy.control.preflight import ask_instances
from proxy.control.promotion import transitions
from proxy.control.promotion.revision_floor import newest_revision
from proxy.control.promotion.rights import OriginRights
from proxy.model import json_reader
from proxy.model.stages import Phase
from proxy.semantics.unique_index import uniques_of
from proxy.state import control_row
from proxy.stores.postgres import unique_indexes

_FEW: Final = 500  # writes that ArangoDB lacks and that are carried while writes are held
_POLL: Final = 0.1  # seconds between two looks at what ArangoDB lacks, before writes are held
_HELD_POLL: Final = 0.005  # and while they are
_AHEAD: Final = 2000 << 20  # milliseconds of revisions by which ArangoDB's clock may be behind


@dataclass(frozen=True, slots=True)
class Demotable:
    """What a demotion of collections waits for. lacking: writes that ArangoDB does not have.

    behind: seconds by which ArangoDB's clock is behind the newest revision; 0 if it is not.
    """

    lacking: int
    behind: float


async def demotable(database: Database, collections: Sequence[str], origin: OriginClient) -> Demotable:
    """Return what a demotion would wait for now. Raise DatabaseError, UpstreamError, ArangoError."""
    lacking = await database.fetchval(sql.promotion.LACKING, list(collections))
    newest = await database.fetchval(sql.promotion.NEWEST_GIVEN, list(collections))
    behind = max(0, newest - await newest_revision(origin))
    return Demotable(lacking, (behind >> 20) / 1000)


async def demote(
    database: Database,
    collections: Sequence[str],
    *,
    settings: Settings,
    origin: OriginClient,
    actor: str,
    reason: str | None = None,
    dry_run: bool = False,
    wait: bool = True,
    timeout: float = 30.0,
    progress: Progress = ignore_progress,
) -> Changed:
    """Let ArangoDB take the writes of all of these collections (`database/name`) again, or of none.

    Collections whose writes it takes already are left out. timeout: seconds for ArangoDB to have nearly all writes
    before they are held. Raise PreconditionFailed, TimedOut, DatabaseError, UpstreamError, ArangoError: then nothing
    changed, unless it is DatabaseUnavailable, or it names rights.
    """
    async with database.session() as session:
        states, _ = await control_row.collection_states(session)
        registered = [row for row in await session.fetch(sql.control.INSTANCES) if row.stopped_at is None]
        control = await session.fetchval(sql.control.CONTROL)
    planned = transitions.demotion(collections, states)
    names = [transition.collection for transition in planned]
    result = Changed(
        planned,
        (Phase.DRAIN,) if planned else (),
        control.epoch,
        control.generation,
        dry_run,
        instances=tuple(row.instance for row in registered),
    )
    only_here = await database.fetch(sql.promotion.NOT_IN_ARANGODB, names)
    if only_here:
        raise PreconditionFailed(
            f"{', '.join(only_here)} was created in PostgreSQL and ArangoDB does not have it: it cannot take its writes"
        )
    if dry_run:
        return replace(result, reached=await ask_instances(registered, control.generation))
    if not planned:
        return result
    began = time.monotonic()
    await _until_nearly_carried(database, names, origin, timeout, progress)

    async def confirm(session: Session) -> None:
        now, _ = await control_row.collection_states(session)
        if transitions.demotion(collections, now) != planned:
            raise PreconditionFailed(
                "the stages were changed by another command meanwhile: see `crossfade status`, try again"
            )

    async def held(still_ours: Callable[[], Awaitable[None]]) -> None:
        lacking = -1
        while lacking:
            left = await database.fetchval(sql.promotion.LACKING, names)
            if left != lacking:
                progress(_draining(left))
            lacking = left
            if lacking:
                await still_ours()
                await asyncio.sleep(_HELD_POLL)
        failpoints.reach("outbox-drained")
        newest = await database.fetchval(sql.promotion.NEWEST_GIVEN, names)
        while await newest_revision(origin) <= newest:
            await still_ours()
            await asyncio.sleep(_HELD_POLL)
        failpoints.reach("clock-passed")

    async def committing(session: Session) -> None:
        """The stages and who takes the writes change together (`control_row.carry_out`)."""
        await _drop_unique_indexes(session, names)

    run = EpochRun(
        database,
        targets=(),
        transitions=planned,
        settings=settings,
        actor=actor,
        reason=reason,
        timeout=timeout,
        progress=progress,
        work=EpochWork("demote", confirm, held, committing, acknowledged=False, closes=True),
    )
    epoch, generation = await run.run_phases((Phase.DRAIN,), {})
    failpoints.reach("writer-committed")
    progress(EpochStep(Phase.IDLE))
    rights = OriginRights(database, origin, settings.origin_user, late=settings.lost_request_timeout)
    await rights.give_back()
    behind = await learned(database, generation, 3 * settings.lease + 1 if wait else 0.0)
    return replace(result, epoch=epoch, generation=generation, behind=behind, seconds=time.monotonic() - began)


async def _drop_unique_indexes(session: Session, names: Sequence[str]) -> None:
    """Let PostgreSQL take equal values: the mirror may apply writes in another order than ArangoDB took them."""
    for name in names:
        text = await session.fetchrow(sql.writes.PROPERTIES, name)
        for index in uniques_of(json_reader.load((text or "{}").encode()).get("indexes", ())):
            await unique_indexes.drop(session, index.id)


async def _until_nearly_carried(
    database: Database, names: Sequence[str], origin: OriginClient, timeout: float, progress: Progress
) -> None:
    """Wait until little is left to be carried while writes are held. Raise TimedOut."""
    until = time.monotonic() + timeout
    while True:
        found = await demotable(database, names, origin)
        if found.lacking <= _FEW and found.behind * 1000 <= _AHEAD >> 20:
            return
        progress(_draining(found.lacking))
        if time.monotonic() > until:
            raise TimedOut(
                f"ArangoDB lacks {found.lacking:,} writes of these collections and its clock is {found.behind:.1f} s "
                "behind their newest revision: nothing changed. See `crossfade status` for what the reverse mirror "
                "does, and try again with a larger --timeout"
            )
        await asyncio.sleep(_POLL)


def _draining(lacking: int) -> EpochStep:
    return EpochStep(Phase.DRAIN, (Waiting("ArangoDB", f"lacks {lacking:,} writes"),) if lacking else ())
