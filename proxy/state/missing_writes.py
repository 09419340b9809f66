"""Marks and dead letters: writes that PostgreSQL lacks, or may lack, recorded with the end of its flips (I7, I10).

A write ends in one of three ways (`journal.intent.Ending`): PostgreSQL has it, nothing was written, or it was given up.
A write that is given up is recorded in one of two tables: as a *mark* (the collection may have missed a write) or a
*dead letter* (PostgreSQL refused this version). Reads from PostgreSQL would then show less than was acknowledged, so
both are written only together with the end of the flips that they concern: one transaction locks the control row, rolls
flipped collections back to `shadow`, aborts an epoch that would flip one, and writes. When a mark is visible, the flip
is over on every proxy, since each read of PostgreSQL tests the generation in its own statement (mirror-protocol,
"Flip", 6). The begin of an epoch locks the control row too, and finds what was recorded after the evaluation of its
gates (`recorded_since`).

A mark ends with a verification that began later. A dead letter ends when both sides agree about its key in a read of
ArangoDB that began after it was recorded (`dead_letters`, then the read, then `end_dead_letters`): the same revision,
or neither has such a document, with or without a tombstone. Repairs, retries and verifications check that, even if they
find no difference. A later write ends it immediately, by its revision (`mirror.sql`, `end_superseded`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import sql
from proxy.base.database import Database, Session
from proxy.model.stages import CollectionState, Stage, Transition
from proxy.state import control_row

EVERYTHING: Final = "*"  # instead of a collection: every database


async def mark(
    database: Database, collections: Sequence[str], reasons: Sequence[str], instance: str
) -> tuple[str, ...]:
    """Mark collections (`db/name`, `db/*`, `*`) as unverified, each for its reason. Return those with a new mark.

    Raise DatabaseError; nothing is marked then.
    """
    async with database.transaction() as session:
        return await mark_in(session, collections, reasons, instance)


async def mark_in(
    session: Session, collections: Sequence[str], reasons: Sequence[str], instance: str
) -> tuple[str, ...]:
    """As `mark`, in the caller's transaction."""
    named = dict(zip(collections, reasons, strict=True))
    reason = "; ".join(f"{name}: {why}" for name, why in named.items())
    await end_flips(session, tuple(named), actor=f"instance {instance}", reason=reason)
    return tuple(await session.fetch(sql.missing_writes.MARK, list(collections), list(reasons), instance))


async def add_dead_letter(
    session: Session, collection: str, relation: str, key: str, rev: int, *, removed: bool, reason: str, instance: str
) -> tuple[bool, bool]:
    """Record a version, or a removal, that PostgreSQL refused. Return (PostgreSQL lacks it, the dead letter is new).

    It is not lacking if the table has a newer version by now.
    """
    async with session.transaction():
        row = await session.fetchval(
            sql.missing_writes.ADD_DEAD_LETTER.on(relation), collection, key, rev, removed, reason
        )
        if row.superseded:
            return False, False
        # nothing of the document but its collection: reasons are shown and logged
        why = f"PostgreSQL refused a document of {collection}"
        await end_flips(session, (collection,), actor=f"instance {instance}", reason=why)
        return True, row.new


async def dead_letters(
    database: Database, collection: str, keys: Sequence[str] | None = None, *, after: str = "", upper: str | None = None
) -> dict[str, int]:
    """Return the revisions of a collection's dead letters by key: of these keys, or of a range. Raise DatabaseError."""
    rows = await database.fetch(
        sql.missing_writes.DEAD_LETTERS, collection, None if keys is None else list(keys), after, upper
    )
    return {row.key: row.rev for row in rows}


async def end_dead_letters(
    database: Database, collection: str, relation: str, noted: Mapping[str, int], origin: Mapping[str, int]
) -> None:
    """End the dead letters about whose keys both sides agree. Raise DatabaseError.

    noted: the result of `dead_letters` before ArangoDB was read. origin: the revisions of these keys that ArangoDB then
    returned; a missing key had no document.
    """
    if noted:
        keys = list(noted)
        revisions = [origin.get(key) for key in keys]
        await database.fetch(
            sql.missing_writes.END_DEAD_LETTERS.on(relation), collection, keys, [noted[key] for key in keys], revisions
        )


async def end_flips(session: Session, collections: Sequence[str], *, actor: str, reason: str) -> tuple[str, ...]:
    """End the flips of these collections (`db/*`: any of the database; `*`: all), and an epoch towards one.

    In the caller's transaction. Return the collections that were flipped; the audit has the reason.
    """
    control = await control_row.lock(session)
    rows = await session.fetch(sql.missing_writes.FLIPPED, list(collections))
    transitions = tuple(
        Transition(row.collection, CollectionState(Stage.FLIPPED, row.weight), CollectionState(Stage.SHADOW))
        for row in rows
    )
    towards = control.towards_target and any(
        _concerned(transition.collection, collections) for transition in control.transitions
    )
    if transitions or towards:
        await control_row.immediate(
            session,
            control,
            transitions,
            actor=actor,
            action="rollback",
            reason=reason[:500],
            by=control_row.By.INSTANCE,
        )
    return tuple(transition.collection for transition in transitions)


async def database_time(database: Database) -> datetime:
    """Return PostgreSQL's time while no write is being given up: every later record has a later time."""
    async with database.transaction() as session:
        await control_row.lock(session)
        return await session.fetchval(sql.missing_writes.NOW)


async def recorded_since(session: Session, collections: Sequence[str], since: datetime) -> str:
    """Return a sentence about what was recorded of these collections since a time of PostgreSQL's clock; else empty.

    For a caller that evaluated their gates then and has locked the control row now.
    """
    row = await session.fetchrow(sql.missing_writes.RECORDED_SINCE, list(collections), since)
    return "" if row is None else f"{row.collection} became unverified meanwhile ({row.reason})"


def _concerned(collection: str, named: Sequence[str]) -> bool:
    return collection in named or EVERYTHING in named or collection.partition("/")[0] + "/*" in named
