"""What `crossfade shapes` shows and does: coverage by shape, what to do about each, waivers (audited), a new count."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sql
from proxy.base.database import Database
from proxy.base.errors import RefusedError
from proxy.control.gate_inputs import shape_fact
from proxy.control.gates.gate_types import GateLimits, ShapeFact
from proxy.model.histogram import quantile
from proxy.state import audit


class State(enum.StrEnum):
    """How a shape stands before a flip, the worst first."""

    MISMATCHED = "mismatched"
    UNSUPPORTED = "unsupported"
    NEVER = "never compared"
    FEW = "too few"
    SLOW = "slow"
    WAIVED = "waived"
    DONE = "enough"


@dataclass(frozen=True, slots=True)
class ShapeRow:
    """One shape of one collection. Counts are of all time, those in `fact` since the last reset; times in seconds."""

    collection: str
    shape: str
    text: str
    seen: int
    compared: int
    matched: int
    mismatched: int
    ignored: int
    unsettled: int
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
    waived: str | None
    waived_by: str | None
    waived_at: datetime | None
    fact: ShapeFact


@dataclass(frozen=True, slots=True)
class Advice:
    """How it stands, why, and what to do; both empty where nothing is to be done."""

    state: State
    why: str = ""
    do: str = ""


_COMPARED_LATER: Final = "it is answered by ArangoDB after a flip as well, so nothing can differ: waive it"
_RARE: Final = "`crossfade shadow replay` sends it again; or let clients go on, or waive it"
# what to do about reads that were skipped, by the shadow's reason
_ABOUT: Final[Mapping[str, str]] = {
    "stage before shadow": "`crossfade shadow {collection}` begins to compare",
    "reads a collection that is not in the shadow": "take the other collections that it reads to shadow as well",
    "sampled out": "raise the share of reads that is compared (CROSSFADE_SAMPLE_PERCENT)",
    "overloaded": "PostgreSQL answers too slowly for so many: see its latency, CROSSFADE_SHADOW_CONCURRENCY",
    "not deterministic": _COMPARED_LATER,
    "query not understood": _COMPARED_LATER,
    "in a transaction": _COMPARED_LATER,
    "dirty read": _COMPARED_LATER,
    "partial": "a first batch of rows in no order cannot be compared: sort them, raise the batch size, or waive it",
    "equal sort keys inside": "both answers may be right: let the query sort by _key as well, or waive it",
    "failed": "a fault of this program: see the proxies' log",
    "too large": "answers above CROSSFADE_BUFFER_BODY are not kept: raise it, or waive it",
    "compressed": "answers that are compressed are not compared: let a client ask without Accept-Encoding, or waive it",
    "target unavailable": "PostgreSQL did not answer: `crossfade doctor`",
    "origin unavailable": "ArangoDB did not answer to the proxy's own account: `crossfade doctor`",
    "shutdown": "let clients go on",
}


def advise(row: ShapeRow, limits: GateLimits) -> Advice:
    """What a person should know and do about one shape; pure."""
    fact = row.fact
    if row.recent_mismatched:
        do = f"`crossfade mismatches list {row.collection}`"
        return Advice(State.MISMATCHED, f"{row.recent_mismatched} mismatches since the last reset", do)
    if row.waived is not None:
        return Advice(State.WAIVED, f"{row.waived} ({row.waived_by})")
    if fact.unsupported:
        do = f"`crossfade explain` says what is missing; {_COMPARED_LATER}"
        return Advice(State.UNSUPPORTED, f"PostgreSQL could not run it {fact.unsupported} times", do)
    if not row.compared:
        return Advice(State.NEVER, *_skipped(row))
    if fact.settled < limits.shape_comparisons:
        why, do = _skipped(row) if row.skipped > row.compared else ("", _RARE)
        return Advice(State.FEW, f"{fact.settled} of {limits.shape_comparisons}" + (f"; {why}" if why else ""), do)
    origin, target = fact.origin_p99, fact.target_p99
    if origin is not None and target is not None and target > max(limits.slowdown * origin, limits.fast_seconds):
        do = f"`crossfade indexes {row.collection} --create`, then `crossfade shapes reset {row.collection}`"
        return Advice(State.SLOW, f"p99 is {target / origin if origin else 0:.1f} times ArangoDB's", do)
    return Advice(State.DONE)


def _skipped(row: ShapeRow) -> tuple[str, str]:
    """Why it was skipped, and what to do about the most frequent reason."""
    if not row.reasons:
        return "seen, and not compared yet", "let clients go on"
    ordered = sorted(row.reasons.items(), key=lambda item: item[1], reverse=True)
    first = ordered[0][0]
    about = _ABOUT.get(first, "waive it, if ArangoDB may go on answering it").format(collection=row.collection)
    return ", ".join(f"{reason} {number}" for reason, number in ordered[:3]), about


async def listed(database: Database, collections: Sequence[str] | None) -> list[ShapeRow]:
    """Every shape that was seen, by collection, the most frequent first. None: of all. Raises DatabaseError."""
    names = None if collections is None else list(collections)
    return [_row(row) for row in await database.fetch(sql.coverage.SHAPES, names)]


def _row(row: sql.coverage.ShapeRow) -> ShapeRow:
    fact = shape_fact(row)
    return ShapeRow(
        collection=row.collection,
        shape=row.shape,
        text=row.text,
        seen=row.seen,
        compared=row.compared,
        matched=row.matched,
        mismatched=row.mismatched,
        ignored=row.ignored,
        unsettled=row.unsettled,
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
        waived=row.exempt_reason,
        waived_by=row.exempted_by,
        waived_at=row.exempted_at,
        fact=fact,
    )


async def waive(database: Database, shape: str, collection: str | None, *, actor: str, reason: str) -> list[str]:
    """Gates leave the shape out from now on; gives the collections. Raises RefusedError where none has it."""
    return await _mark(database, shape, collection, actor=actor, reason=reason, action="waive shape")


async def unwaive(
    database: Database, shape: str, collection: str | None, *, actor: str, reason: str | None
) -> list[str]:
    """Gates look at it again. Raises RefusedError where it was not waived."""
    return await _mark(database, shape, collection, actor=actor, reason=reason, action="unwaive shape")


async def _mark(
    database: Database, shape: str, collection: str | None, *, actor: str, reason: str | None, action: str
) -> list[str]:
    waived = reason if action == "waive shape" else None
    async with database.transaction() as session:
        rows = await session.fetch(sql.coverage.EXEMPT, shape, collection, waived, actor)
        names = sorted(rows)
        if not names:
            where = f" of {collection}" if collection else ""
            what = "was seen" if waived is not None else "is waived"
            raise RefusedError(f"no shape {shape}{where} {what}: see `crossfade shapes`")
        detail = {"shape": shape, "collections": names}
        await audit.record(session, actor=actor, action=action, reason=reason, detail=detail)
    return names


async def reset(database: Database, collections: Sequence[str], *, actor: str, reason: str | None) -> None:
    """Comparisons count anew: after an index was built, or whatever else makes old ones say nothing."""
    async with database.transaction() as session:
        await session.execute(sql.shadow.RESET_COMPARISONS, sorted(collections))
        await audit.record(
            session, actor=actor, action="reset comparisons", reason=reason, detail={"collections": sorted(collections)}
        )
