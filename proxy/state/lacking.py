"""What PostgreSQL lacks, or may lack, is said in the transaction that takes reads of it back (I7, I10).

A write is settled in one of three ways (`journal.intent.Ending`): PostgreSQL has it, nothing was written, or it was
given up. To give up is to say so in one of two tables: a *mark* (the collection may have missed a write) or a *dead
letter* (PostgreSQL refused this version). Reads from PostgreSQL would then show a client less than it was told, so both
are written only together with the end of the flips that they concern: one transaction takes the control row, rolls
flipped collections back to `shadow`, aborts an epoch that would flip one, and writes. Whoever sees the mark sees the
flip over, on every proxy, since each read of the target tests the generation in its own statement (mirror-protocol,
"Flip", 6). What was said between the judgement of the gates and the begin of an epoch is seen by the begin, which holds
the control row too (`said_since`).

A mark is over with a verification that began later. A dead letter is over when both sides agree about its key in a look
at ArangoDB that began after it was noted (`letters`, then the look, then `agreed`): the same revision, or neither has
such a document, whether there is a tombstone or not. Whoever looks at keys asks: repairs, retries, verifications, also
those that find no difference. A later write is over it at once, by its revision (`revived`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import sql
from proxy.base.database import Database, Session
from proxy.model.stages import Move, Stage, Standing
from proxy.state import control_row

EVERYTHING: Final = "*"  # instead of a collection: every database


async def mark(
    database: Database, collections: Sequence[str], reasons: Sequence[str], instance: str
) -> tuple[str, ...]:
    """Marks collections (`db/name`, `db/*`, `*`) as unverified, each for its reason. Gives those with a new mark.

    Raises DatabaseError; nothing is marked then.
    """
    async with database.transaction() as session:
        return await mark_in(session, collections, reasons, instance)


async def mark_in(
    session: Session, collections: Sequence[str], reasons: Sequence[str], instance: str
) -> tuple[str, ...]:
    """As `mark`, in the caller's transaction."""
    named = dict(zip(collections, reasons, strict=True))
    reason = "; ".join(f"{name}: {why}" for name, why in named.items())
    await give_way(session, tuple(named), actor=f"instance {instance}", reason=reason)
    return tuple(await session.fetch(sql.lacking.MARK, list(collections), list(reasons), instance))


async def letter(
    session: Session, collection: str, relation: str, key: str, rev: int, *, removed: bool, reason: str, instance: str
) -> tuple[bool, bool]:
    """Notes a version, or a removal, that PostgreSQL refused: (whether PostgreSQL lacks it, whether that is new).

    It lacks nothing where the table has a newer version by now.
    """
    async with session.transaction():
        row = await session.fetchval(sql.lacking.LETTER.on(relation), collection, key, rev, removed, reason)
        if row.overtaken:
            return False, False
        # the collection, and nothing of the document: reasons are shown and logged
        why = f"PostgreSQL refused a document of {collection}"
        await give_way(session, (collection,), actor=f"instance {instance}", reason=why)
        return True, row.new


async def letters(
    database: Database, collection: str, keys: Sequence[str] | None = None, *, after: str = "", upper: str | None = None
) -> dict[str, int]:
    """Revisions of the dead letters of a collection, by key: of these keys, or of a range. Raises DatabaseError."""
    rows = await database.fetch(sql.lacking.LETTERS, collection, None if keys is None else list(keys), after, upper)
    return {row.key: row.rev for row in rows}


async def agreed(
    database: Database, collection: str, relation: str, noted: Mapping[str, int], origin: Mapping[str, int]
) -> None:
    """Ends those of the dead letters `noted` about whose keys both sides agree. Raises DatabaseError.

    noted: what `letters` gave before ArangoDB was read. origin: the revisions that it then had of these keys; of one
    that is missing it had no document.
    """
    if noted:
        keys = list(noted)
        revisions = [origin.get(key) for key in keys]
        await database.fetch(sql.lacking.AGREED.on(relation), collection, keys, [noted[key] for key in keys], revisions)


async def give_way(session: Session, collections: Sequence[str], *, actor: str, reason: str) -> tuple[str, ...]:
    """Ends the flips of these collections (`db/*`: any of the database; `*`: all), and an epoch towards one.

    In the caller's transaction. Gives the collections that were flipped; the audit has the reason.
    """
    control = await control_row.lock(session)
    rows = await session.fetch(sql.lacking.FLIPPED, list(collections))
    moves = tuple(Move(row.collection, Standing(Stage.FLIPPED, row.weight), Standing(Stage.SHADOW)) for row in rows)
    towards = control.towards_target and any(_concerned(move.collection, collections) for move in control.moves)
    if moves or towards:
        await control_row.immediate(
            session, control, moves, actor=actor, action="rollback", reason=reason[:500], by=control_row.By.INSTANCE
        )
    return tuple(move.collection for move in moves)


async def moment(database: Database) -> datetime:
    """PostgreSQL's clock, at a moment at which nobody is giving anything up: what is said later is not older."""
    async with database.transaction() as session:
        await control_row.lock(session)
        return await session.fetchval(sql.lacking.NOW)


async def said_since(session: Session, collections: Sequence[str], since: datetime) -> str:
    """What was said of these collections since a moment of PostgreSQL's clock, as a sentence; empty for nothing.

    For who judged them then and holds the control row now.
    """
    row = await session.fetchrow(sql.lacking.SAID_SINCE, list(collections), since)
    return "" if row is None else f"{row.collection} became unverified meanwhile ({row.reason})"


def _concerned(collection: str, said: Sequence[str]) -> bool:
    return collection in said or EVERYTHING in said or collection.partition("/")[0] + "/*" in said
