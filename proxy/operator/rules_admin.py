"""Noise and shares of reads for the command line: what the proxies' `rules` read, listed and changed.

Adding or removing a rule changes what counts as equal, so the figures of the collection begin anew; it is audited.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sql
from proxy.base.database import Database
from proxy.base.errors import RefusedError
from proxy.shadow.diff.paths import tokens
from proxy.shadow.diff.tolerances import RULES, Rule
from proxy.state import audit


@dataclass(frozen=True, slots=True)
class NoiseRow:
    """One rule. seen: comparisons that were equal by the rules of its collection, this among them."""

    id: int
    collection: str
    path: str
    rule: str
    argument: float | None
    reason: str
    actor: str
    added_at: datetime
    seen: int


@dataclass(frozen=True, slots=True)
class OwnRow:
    """What ArangoDB differs in from itself: class and path; class '' counts the readings that agreed, `undecided` those
    that writes came between. subtracted: mismatches that were taken for it.
    """

    collection: str
    shape: str
    text: str | None
    kind: str
    path: str
    number: int
    subtracted: int
    last_seen: datetime


@dataclass(frozen=True, slots=True)
class SamplingRow:
    """Shares of a collection, or of one shape of it (shape not empty), in percent; None: as set elsewhere."""

    collection: str
    shape: str
    text: str | None
    percent: float | None
    baseline_percent: float | None
    changed_at: datetime


async def noise(database: Database, collection: str | None = None) -> list[NoiseRow]:
    """In the order in which they were made. Raises DatabaseError."""
    return [NoiseRow(*row) for row in await database.fetch(sql.shadow.LIST_TOLERANCES, collection)]


async def own(database: Database, collection: str | None = None) -> list[OwnRow]:
    """Raises DatabaseError."""
    rows = await database.fetch(sql.shadow.LIST_BASELINE, collection)
    return [
        OwnRow(
            row.collection,
            row.shape,
            row.text,
            row.kind,
            row.path,
            row.number,
            row.subtracted,
            row.last_seen,
        )
        for row in rows
    ]


async def sampling(database: Database, collection: str | None = None) -> list[SamplingRow]:
    """Raises DatabaseError."""
    rows = await database.fetch(sql.shadow.LIST_SAMPLING, collection)
    return [SamplingRow(*row) for row in rows]


def checked(collection: str, path: str, rule: str, argument: float | None) -> Rule:
    """A rule as it may be stored. Raises RefusedError that says what is wrong with it."""
    if rule not in RULES:
        raise RefusedError(f"{rule!r} is no rule: take one of {', '.join(RULES)}")
    if RULES[rule] and (argument is None or argument < 0 or (rule == "seconds" and argument == 0)):
        raise RefusedError(f"{rule} needs a number: `round 2` is two digits behind the point, `seconds 1` one second")
    if not RULES[rule] and argument is not None:
        raise RefusedError(f"{rule} takes no number")
    try:
        steps = tokens(path)
    except ValueError as error:
        raise RefusedError(str(error)) from error
    if {"_key", "_id", "_rev"} & set(steps):
        raise RefusedError("_key, _id and _rev name a document and its version: no difference in them is noise")
    return Rule(collection, path, rule, argument)


async def add(database: Database, rule: Rule, *, reason: str, actor: str) -> int:
    """Stores a rule; gives its id. Raises DatabaseError."""
    async with database.transaction() as session:
        identifier = await session.fetchval(
            sql.shadow.ADD_TOLERANCE, rule.collection, rule.path, rule.rule, rule.argument, reason, actor
        )
        await session.execute(sql.shadow.RESET_COMPARISONS, [rule.collection])
        detail = {"collection": rule.collection, "rule": str(rule)}
        await audit.record(session, actor=actor, action="add noise", reason=reason, detail=detail)
    return identifier


async def remove(database: Database, identifier: int, *, reason: str | None, actor: str) -> Rule:
    """Takes a rule away; gives it. Raises RefusedError where there is none of that id, DatabaseError."""
    async with database.transaction() as session:
        row = await session.fetchrow(sql.shadow.REMOVE_TOLERANCE, identifier)
        if row is None:
            raise RefusedError(f"there is no rule {identifier}: see `crossfade noise list`")
        rule = Rule(row.collection, row.path, row.rule, row.argument)
        await session.execute(sql.shadow.RESET_COMPARISONS, [rule.collection])
        detail = {"collection": rule.collection, "rule": str(rule)}
        await audit.record(session, actor=actor, action="remove noise", reason=reason, detail=detail)
    return rule


async def forget(database: Database, collection: str, *, reason: str | None, actor: str) -> int:
    """Forgets what was learnt of ArangoDB against itself in a collection; gives how many rows. Raises DatabaseError."""
    async with database.transaction() as session:
        gone = await session.fetchval(sql.shadow.REMOVE_BASELINE, collection)
        if gone:
            await session.execute(sql.shadow.RESET_COMPARISONS, [collection])
            detail = {"collection": collection, "rows": gone}
            await audit.record(session, actor=actor, action="forget noise", reason=reason, detail=detail)
    return gone


async def share(
    database: Database,
    collections: Sequence[str],
    shape: str,
    *,
    percent: float | None,
    twice: float | None,
    actor: str,
    reason: str | None,
) -> None:
    """Sets shares; shape: its name or the beginning of one, '' for all of the collection. None leaves a share alone;
    both None take the row away. Raises RefusedError where a shape is not known, DatabaseError.
    """
    async with database.transaction() as session:
        for collection in collections:
            name = ""
            if shape:
                known = await session.fetch(sql.shadow.FIND_SHAPES, collection, shape)
                known = [shape] if shape in known else known
                if len(known) != 1:
                    what = "several shapes begin so" if known else "no shape begins so"
                    raise RefusedError(f"{shape!r} in {collection}: {what}; see `crossfade shapes {collection}`")
                name = known[0]
            if percent is None and twice is None:
                await session.fetchval(sql.shadow.CLEAR_SAMPLING, collection, name)
            else:
                await session.execute(sql.shadow.SET_SAMPLING, collection, name, percent, twice)
            detail = {"collection": collection, "shape": name, "percent": percent, "twice": twice}
            await audit.record(session, actor=actor, action="set sampling", reason=reason, detail=detail)
