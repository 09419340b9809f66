"""Query shapes for `crossfade queries`: coverage, advice on each, exemptions (audited), resets of the counts."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sql
from proxy.base.database import Database
from proxy.base.errors import PreconditionFailed
from proxy.control.gate_inputs import shape_fact
from proxy.control.gates.gate_types import GateLimits, ShapeFact
from proxy.model.histogram import quantile
from proxy.state import audit


class State(enum.StrEnum):
    """The state of a shape before a flip, the worst first."""

    MISMATCHED = "mismatched"
    UNSUPPORTED = "unsupported"
    NEVER = "never compared"
    FEW = "too few"
    SLOW = "slow"
    EXEMPT = "exempt"
    DONE = "enough"


@dataclass(frozen=True, slots=True)
class ShapeReport:
    """One shape of one collection. Counts are of all time, those in `fact` since the last reset; times in seconds.

    exempt: the reason of its exemption from the gates.
    """

    collection: str
    shape: str
    text: str
    seen: int
    compared: int
    matched: int
    mismatched: int
    ignored: int
    undecided: int
    unsupported: int
    skipped: int
    reasons: Mapping[str, int]
    recent_mismatched: int
    origin_p50: float | None
    origin_p99: float | None
    target_p50: float | None
    target_p99: float | None
    first_seen: datetime
    last_seen: datetime
    exempt: str | None
    exempt_by: str | None
    exempt_at: datetime | None
    fact: ShapeFact


@dataclass(frozen=True, slots=True)
class ShapeAdvice:
    """The state of a shape, why, and what to do; both are empty if nothing is to be done."""

    state: State
    why: str = ""
    do: str = ""


_COMPARED_LATER: Final = "ArangoDB answers it after a flip as well, so nothing can differ: exempt it"
_RARE: Final = "`crossfade shadow replay` sends it again; or wait for more traffic, or exempt it"
# what to do about reads that were skipped, by the shadow's reason
_ABOUT: Final[Mapping[str, str]] = {
    "stage before shadow": "`crossfade shadow {collection}` starts comparing",
    "reads a collection that is not in the shadow": "move the other collections that it reads to shadow as well",
    "sampled out": "raise the share of reads that is compared (CROSSFADE_SAMPLE_PERCENT)",
    "overloaded": "PostgreSQL is too slow for the load: check its latency and CROSSFADE_SHADOW_CONCURRENCY",
    "not deterministic": _COMPARED_LATER,
    "query not understood": _COMPARED_LATER,
    "in a transaction": _COMPARED_LATER,
    "dirty read": _COMPARED_LATER,
    "partial": "a first batch of unsorted rows cannot be compared: sort them, raise the batch size, or exempt it",
    "equal sort keys inside": "both answers may be right: let the query sort by _key as well, or exempt it",
    "failed": "a fault of Crossfade: see the proxies' log",
    "too large": "answers above CROSSFADE_MAX_BUFFERED_BODY are not kept: raise it, or exempt it",
    "compressed": "compressed answers are not compared: let a client ask without Accept-Encoding, or exempt it",
    "target unavailable": "PostgreSQL did not answer: run `crossfade doctor`",
    "origin unavailable": "ArangoDB did not answer to the proxy's own account: run `crossfade doctor`",
    "shutdown": "wait for more traffic",
}


def advise(row: ShapeReport, limits: GateLimits) -> ShapeAdvice:
    """Return the state of one shape and what to do about it. Pure."""
    fact = row.fact
    if row.recent_mismatched:
        do = f"`crossfade mismatches list {row.collection}`"
        return ShapeAdvice(State.MISMATCHED, f"{row.recent_mismatched} mismatches since the last reset", do)
    if row.exempt is not None:
        return ShapeAdvice(State.EXEMPT, f"{row.exempt} ({row.exempt_by})")
    if fact.unsupported:
        do = f"`crossfade explain` shows what is missing; {_COMPARED_LATER}"
        return ShapeAdvice(State.UNSUPPORTED, f"PostgreSQL could not run it {fact.unsupported} times", do)
    if not row.compared:
        return ShapeAdvice(State.NEVER, *_skipped(row))
    if fact.decided < limits.shape_comparisons:
        why, do = _skipped(row) if row.skipped > row.compared else ("", _RARE)
        return ShapeAdvice(State.FEW, f"{fact.decided} of {limits.shape_comparisons}" + (f"; {why}" if why else ""), do)
    origin, target = fact.origin_p99, fact.target_p99
    if origin is not None and target is not None and target > max(limits.slowdown * origin, limits.min_p99_seconds):
        do = f"`crossfade indexes {row.collection} --create`, then `crossfade queries reset {row.collection}`"
        return ShapeAdvice(State.SLOW, f"p99 is {target / origin if origin else 0:.1f} times ArangoDB's", do)
    return ShapeAdvice(State.DONE)


def _skipped(row: ShapeReport) -> tuple[str, str]:
    """Return why it was skipped, and what to do about the most frequent reason."""
    if not row.reasons:
        return "seen, and not compared yet", "wait for more traffic"
    ordered = sorted(row.reasons.items(), key=lambda item: item[1], reverse=True)
    first = ordered[0][0]
    about = _ABOUT.get(first, "exempt it, if ArangoDB may continue to answer it").format(collection=row.collection)
    return ", ".join(f"{reason} {number}" for reason, number in ordered[:3]), about


async def listed(database: Database, collections: Sequence[str] | None) -> list[ShapeReport]:
    """Return every shape that was seen, by collection, the most frequent first. None: of all. Raise DatabaseError."""
    names = None if collections is None else list(collections)
    return [_row(row) for row in await database.fetch(sql.coverage.SHAPES, names)]


def _row(row: sql.coverage.ShapeRow) -> ShapeReport:
    fact = shape_fact(row)
    return ShapeReport(
        collection=row.collection,
        shape=row.shape,
        text=row.text,
        seen=row.seen,
        compared=row.compared,
        matched=row.matched,
        mismatched=row.mismatched,
        ignored=row.ignored,
        undecided=row.undecided,
        unsupported=row.unsupported,
        skipped=row.skipped,
        reasons=fact.skips,
        recent_mismatched=row.recent_mismatched,
        origin_p50=quantile(row.origin_histogram, 0.5),
        origin_p99=fact.origin_p99,
        target_p50=quantile(row.target_histogram, 0.5),
        target_p99=fact.target_p99,
        first_seen=row.first_seen,
        last_seen=row.last_seen,
        exempt=row.exempt_reason,
        exempt_by=row.exempted_by,
        exempt_at=row.exempted_at,
        fact=fact,
    )


async def exempt(database: Database, shape: str, collection: str | None, *, actor: str, reason: str) -> list[str]:
    """Exempt the shape from the gates; return the collections. Raise PreconditionFailed if none has it."""
    return await _mark(database, shape, collection, actor=actor, reason=reason, action="exempt query")


async def unexempt(
    database: Database, shape: str, collection: str | None, *, actor: str, reason: str | None
) -> list[str]:
    """End the exemption; return the collections. Raise PreconditionFailed if it was not exempt."""
    return await _mark(database, shape, collection, actor=actor, reason=reason, action="unexempt query")


async def _mark(
    database: Database, shape: str, collection: str | None, *, actor: str, reason: str | None, action: str
) -> list[str]:
    why = reason if action == "exempt query" else None
    async with database.transaction() as session:
        rows = await session.fetch(sql.coverage.EXEMPT, shape, collection, why, actor)
        names = sorted(rows)
        if not names:
            where = f" of {collection}" if collection else ""
            what = "was seen" if why is not None else "is exempt"
            raise PreconditionFailed(f"no query shape {shape}{where} {what}: run `crossfade queries`")
        detail = {"shape": shape, "collections": names}
        await audit.record(session, actor=actor, action=action, reason=reason, detail=detail)
    return names


async def reset(database: Database, collections: Sequence[str], *, actor: str, reason: str | None) -> None:
    """Reset the counts of comparisons, after an index was created or anything else made the old ones meaningless."""
    async with database.transaction() as session:
        await session.execute(sql.shadow.RESET_COMPARISONS, sorted(collections))
        await audit.record(
            session, actor=actor, action="reset comparisons", reason=reason, detail={"collections": sorted(collections)}
        )
