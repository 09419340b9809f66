"""The limits that gates apply: the defaults of `GateLimits`, or what operators have set in PostgreSQL (audited)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

import sql
from proxy.base.database import Database
from proxy.base.errors import PreconditionFailed
from proxy.control.gates.gate_types import GateLimits
from proxy.state import audit

# the meaning of each, human-readable
MEANINGS: Final = {
    "comparisons": "comparisons that a collection needs: 0 mismatches of n bound the true rate by 3/n at 95 %",
    "shape_comparisons": "comparisons that each shape needs, and samples that a p99 needs",
    "lag_seconds": "highest mirror lag of an instance, in seconds",
    "undecided_share": "highest share of comparisons that may stay undecided",
    "slowdown": "highest ratio of PostgreSQL's p99 to ArangoDB's, for each shape",
    "min_p99_seconds": "a p99 of PostgreSQL up to this many seconds passes, whatever ArangoDB's is",
    "bypass_lag_seconds": "highest lag of the out-of-band watch, in seconds",
    "flipped_hours": "hours at 100 % before a promotion",
    "transaction_seconds": "highest age of an open stream transaction that wrote, in seconds",
    "clock_seconds": "highest difference between two clocks before a promotion, in seconds",
    "promoted_days": "days at stage promoted before a completion",
}
_WHOLE: Final = frozenset({"comparisons", "shape_comparisons"})  # counts: at least one, without a fraction


@dataclass(frozen=True, slots=True)
class Threshold:
    """One limit. default: its value if no operator has set one; actor, reason, set_at: of the operator who has."""

    name: str
    value: float
    default: float
    actor: str = ""
    reason: str = ""
    set_at: datetime | None = None


async def read(database: Database) -> GateLimits:
    """Return the limits that apply. Raise DatabaseError."""
    values: dict[str, Any] = {one.name: one.value for one in await listed(database)}
    return GateLimits(**{name: int(value) if name in _WHOLE else value for name, value in values.items()})


async def listed(database: Database) -> list[Threshold]:
    """Return every limit and who set it. Raise DatabaseError."""
    rows = {row.name: row for row in await database.fetch(sql.coverage.LIMITS)}
    found = []
    for name, default in asdict(GateLimits()).items():
        row = rows.get(name)
        found.append(
            Threshold(name, default, default)
            if row is None
            else Threshold(name, row.value, default, row.actor, row.reason, row.set_at)
        )
    return found


async def put(database: Database, name: str, value: float, *, actor: str, reason: str) -> None:
    """Set a limit for all proxies and commands. Raise PreconditionFailed if it or the value is invalid."""
    _require_known(name)
    if name in _WHOLE and (value < 1 or value != int(value)):
        raise PreconditionFailed(f"{name} is a whole number, at least 1")
    if value < 0:
        raise PreconditionFailed(f"{name} is not negative")
    async with database.transaction() as session:
        await session.execute(sql.coverage.SET_LIMIT, name, value, reason, actor)
        await audit.record(
            session, actor=actor, action="set limit", reason=reason, detail={"limit": name, "value": value}
        )


async def reset(database: Database, name: str, *, actor: str, reason: str | None) -> bool:
    """Restore the default of a limit; return False if no other was set. Raise PreconditionFailed if it is unknown."""
    _require_known(name)
    async with database.transaction() as session:
        if await session.fetchrow(sql.coverage.RESET_LIMIT, name) is None:
            return False
        await audit.record(session, actor=actor, action="reset limit", reason=reason, detail={"limit": name})
    return True


def _require_known(name: str) -> None:
    if name not in MEANINGS:
        raise PreconditionFailed(f"no gate has a limit {name}: there are {', '.join(MEANINGS)}")
