"""What gates measure by: the settings' limits, and over them those that operators have set in PostgreSQL (audited)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

import sql
from proxy.base.config import Settings
from proxy.base.database import Database
from proxy.base.errors import RefusedError
from proxy.control.gates.gate_types import GateLimits
from proxy.state import audit

# what each is, for people
TOLD: Final = {
    "comparisons": "comparisons that a collection needs: 0 mismatches of n bound the true rate by 3/n at 95 %",
    "shape_comparisons": "comparisons that each shape needs, and samples that a p99 needs",
    "lag_seconds": "seconds that an instance's mirror may be behind",
    "unsettled_share": "share of comparisons that may stay unsettled",
    "slowdown": "times ArangoDB's p99 that PostgreSQL's may be, for each shape",
    "fast_seconds": "seconds of p99 up to which PostgreSQL is fast enough, whatever ArangoDB takes",
    "watch_seconds": "seconds that the watch for writers around the proxies may be behind",
}
_WHOLE: Final = frozenset({"comparisons", "shape_comparisons"})  # counts: at least one, without a fraction


@dataclass(frozen=True, slots=True)
class Threshold:
    """One limit. setting: its value by the settings; actor, reason, set_at: of the operator who set another."""

    name: str
    value: float
    setting: float
    actor: str = ""
    reason: str = ""
    set_at: datetime | None = None


def of_settings(settings: Settings) -> GateLimits:
    """The limits as the settings have them."""
    return GateLimits(**{name: getattr(settings, f"gate_{name}") for name in TOLD})


async def read(database: Database, settings: Settings) -> GateLimits:
    """The limits that hold. Raises DatabaseError."""
    values: dict[str, Any] = {one.name: one.value for one in await listed(database, settings)}
    return GateLimits(**{name: int(value) if name in _WHOLE else value for name, value in values.items()})


async def listed(database: Database, settings: Settings) -> list[Threshold]:
    """Every limit, and who set it. Raises DatabaseError."""
    rows = {row.name: row for row in await database.fetch(sql.coverage.LIMITS)}
    found = []
    for name, setting in asdict(of_settings(settings)).items():
        row = rows.get(name)
        found.append(
            Threshold(name, setting, setting)
            if row is None
            else Threshold(name, row.value, setting, row.actor, row.reason, row.set_at)
        )
    return found


async def put(database: Database, name: str, value: float, *, actor: str, reason: str) -> None:
    """Sets a limit for every operator. Raises RefusedError for one that there is not, or that makes no sense."""
    _known(name)
    if name in _WHOLE and (value < 1 or value != int(value)):
        raise RefusedError(f"{name} is a whole number, at least 1")
    if value < 0:
        raise RefusedError(f"{name} is not negative")
    async with database.transaction() as session:
        await session.execute(sql.coverage.SET_LIMIT, name, value, reason, actor)
        await audit.record(
            session, actor=actor, action="set limit", reason=reason, detail={"limit": name, "value": value}
        )


async def reset(database: Database, name: str, *, actor: str, reason: str | None) -> bool:
    """The settings' limit holds again; false where it did. Raises RefusedError for one that there is not."""
    _known(name)
    async with database.transaction() as session:
        if await session.fetchrow(sql.coverage.RESET_LIMIT, name) is None:
            return False
        await audit.record(session, actor=actor, action="reset limit", reason=reason, detail={"limit": name})
    return True


def _known(name: str) -> None:
    if name not in TOLD:
        raise RefusedError(f"no gate has a limit {name}: there are {', '.join(TOLD)}")
