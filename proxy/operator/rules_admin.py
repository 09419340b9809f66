"""Tolerances and shares of reads for the command line: the rules that proxies apply, listed and changed (audited).

Adding or removing a tolerance changes what counts as equal, so it resets the counts of its collection.
"""

from __future__ import annotations

from collections.abc import Sequence

import sql
from proxy.base.database import Database
from proxy.base.errors import PreconditionFailed
from proxy.shadow.diff.paths import tokens
from proxy.shadow.diff.tolerances import RULES, Tolerance
from proxy.state import audit


async def tolerances(database: Database, collection: str | None = None) -> list[sql.shadow.ToleranceRow]:
    """Return the tolerances in the order in which they were added. Raise DatabaseError."""
    return await database.fetch(sql.shadow.LIST_TOLERANCES, collection)


async def baseline(database: Database, collection: str | None = None) -> list[sql.shadow.BaselineRow]:
    """Return the findings of baseline checks. Raise DatabaseError."""
    return await database.fetch(sql.shadow.LIST_BASELINE, collection)


async def sampling(database: Database, collection: str | None = None) -> list[sql.shadow.SamplingRow]:
    """Return the shares that were set. Raise DatabaseError."""
    return await database.fetch(sql.shadow.LIST_SAMPLING, collection)


def checked(collection: str, path: str, rule: str, argument: float | None) -> Tolerance:
    """Return the tolerance as it may be stored. Raise PreconditionFailed with the reason if it is not valid."""
    if rule not in RULES:
        raise PreconditionFailed(f"{rule!r} is not a rule: use one of {', '.join(RULES)}")
    if RULES[rule] and (argument is None or argument < 0 or (rule == "seconds" and argument == 0)):
        raise PreconditionFailed(
            f"{rule} needs a number: `--round 2` is two digits after the point, `--within-seconds 1` one second"
        )
    if not RULES[rule] and argument is not None:
        raise PreconditionFailed(f"{rule} takes no number")
    try:
        steps = tokens(path)
    except ValueError as error:
        raise PreconditionFailed(str(error)) from error
    if {"_key", "_id", "_rev"} & set(steps):
        raise PreconditionFailed(
            "_key, _id and _rev name a document and its version: a difference in them always matters"
        )
    return Tolerance(collection, path, rule, argument)


async def add(database: Database, rule: Tolerance, *, reason: str, actor: str) -> int:
    """Store a tolerance and return its id. Raise DatabaseError."""
    async with database.transaction() as session:
        identifier = await session.fetchval(
            sql.shadow.ADD_TOLERANCE, rule.collection, rule.path, rule.rule, rule.argument, reason, actor
        )
        await session.execute(sql.shadow.RESET_COMPARISONS, [rule.collection])
        detail = {"collection": rule.collection, "rule": str(rule)}
        await audit.record(session, actor=actor, action="add tolerance", reason=reason, detail=detail)
    return identifier


async def remove(database: Database, identifier: int, *, reason: str | None, actor: str) -> Tolerance:
    """Remove a tolerance and return it. Raise PreconditionFailed if the id is not known, DatabaseError."""
    async with database.transaction() as session:
        row = await session.fetchrow(sql.shadow.REMOVE_TOLERANCE, identifier)
        if row is None:
            raise PreconditionFailed(f"there is no tolerance {identifier}: run `crossfade tolerance list`")
        rule = Tolerance(row.collection, row.path, row.rule, row.argument)
        await session.execute(sql.shadow.RESET_COMPARISONS, [rule.collection])
        detail = {"collection": rule.collection, "rule": str(rule)}
        await audit.record(session, actor=actor, action="remove tolerance", reason=reason, detail=detail)
    return rule


async def reset_baseline(database: Database, collection: str, *, reason: str | None, actor: str) -> int:
    """Delete the findings of baseline checks of a collection; return their number. Raise DatabaseError."""
    async with database.transaction() as session:
        gone = await session.fetchval(sql.shadow.REMOVE_BASELINE, collection)
        if gone:
            await session.execute(sql.shadow.RESET_COMPARISONS, [collection])
            detail = {"collection": collection, "rows": gone}
            await audit.record(session, actor=actor, action="reset baseline", reason=reason, detail=detail)
    return gone


async def share(
    database: Database,
    collections: Sequence[str],
    shape: str,
    *,
    percent: float | None,
    baseline_percent: float | None,
    actor: str,
    reason: str | None,
) -> None:
    """Set shares. shape: its name or the beginning of one, '' for all of the collection.

    None leaves a share unchanged; if both are, remove what was set. Raise PreconditionFailed if a shape is unknown,
    DatabaseError.
    """
    async with database.transaction() as session:
        for collection in collections:
            name = ""
            if shape:
                known = await session.fetch(sql.shadow.FIND_SHAPES, collection, shape)
                known = [shape] if shape in known else known
                if len(known) != 1:
                    what = "several query shapes begin so" if known else "no query shape begins so"
                    raise PreconditionFailed(f"{shape!r} in {collection}: {what}; run `crossfade queries {collection}`")
                name = known[0]
            if percent is None and baseline_percent is None:
                await session.fetchval(sql.shadow.CLEAR_SAMPLING, collection, name)
            else:
                await session.execute(sql.shadow.SET_SAMPLING, collection, name, percent, baseline_percent)
            detail = {"collection": collection, "shape": name, "percent": percent, "baseline_percent": baseline_percent}
            await audit.record(session, actor=actor, action="set sampling", reason=reason, detail=detail)
