"""The audit (who changed what, when and why): rows chained by hash, written in the transaction of the change itself.

hash = sha256(previous hash || canonical JSON of the row); the first row's previous hash is 32 zero bytes. Changing,
removing or inserting a row breaks the chain at that row; only cutting rows off its end does not, so keep the last hash
elsewhere if that matters (`crossfade audit --verify` prints it).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import orjson

import sql
from proxy.base.database import Database, Session

ORIGIN: Final = bytes(32)
_PAGE = 500


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One row of the audit. detail: JSON values."""

    id: int
    at: datetime
    actor: str
    action: str
    reason: str | None
    detail: Mapping[str, Any]
    previous: bytes
    hash: bytes


@dataclass(frozen=True, slots=True)
class ChainVerdict:
    """The result of checking the chain. broken: the first row that does not fit, and why; head: the last good hash."""

    rows: int
    head: bytes
    broken: int | None = None
    why: str = ""


def chain(
    previous: bytes, *, at: datetime, actor: str, action: str, reason: str | None, detail: Mapping[str, Any]
) -> bytes:
    """Return the hash of a row. `at` has a time zone; `detail` is as PostgreSQL returns it (jsonb)."""
    row = {
        "at": at.astimezone(UTC).isoformat(timespec="microseconds"),
        "actor": actor,
        "action": action,
        "reason": reason,
        "detail": detail,
    }
    return hashlib.sha256(previous + orjson.dumps(row, option=orjson.OPT_SORT_KEYS)).digest()


async def record(
    session: Session, *, actor: str, action: str, reason: str | None = None, detail: Mapping[str, Any] | None = None
) -> int:
    """Append a row in the caller's transaction, and return its id. detail: JSON values, floats finite.

    Take a lock until the transaction ends, so that the chain has one end: lock the control row before, never after.
    """
    text = orjson.dumps(detail or {}).decode()
    await session.execute(sql.control.AUDIT_LOCK)
    # hash the numbers as jsonb prints them: a later check reads those
    end = await session.fetchval(sql.control.AUDIT_END, text)
    previous = end.previous or ORIGIN
    digest = chain(previous, at=end.at, actor=actor, action=action, reason=reason, detail=orjson.loads(end.detail))
    return await session.fetchval(sql.control.AUDIT_INSERT, end.at, actor, action, reason, text, previous, digest)


async def entries(database: Database, *, limit: int = 50) -> list[AuditRecord]:
    """Return the newest rows, newest first."""
    return [_entry(row) for row in await database.fetch(sql.control.AUDIT_NEWEST, limit)]


async def verify(database: Database) -> ChainVerdict:
    """Check the whole chain from its first row."""
    previous, rows, after = ORIGIN, 0, 0
    while True:
        page = [_entry(row) for row in await database.fetch(sql.control.AUDIT_PAGE, after, _PAGE)]
        for entry in page:
            if entry.previous != previous:
                return ChainVerdict(
                    rows, previous, entry.id, "it does not follow the row before it: a row was removed or inserted"
                )
            if _hash(entry) != entry.hash:
                return ChainVerdict(rows, previous, entry.id, "its content is not what was written")
            previous, rows, after = entry.hash, rows + 1, entry.id
        if len(page) < _PAGE:
            return ChainVerdict(rows, previous)


def _hash(entry: AuditRecord) -> bytes:
    return chain(
        entry.previous,
        at=entry.at,
        actor=entry.actor,
        action=entry.action,
        reason=entry.reason,
        detail=entry.detail,
    )


def _entry(row: sql.control.AuditRow) -> AuditRecord:
    return AuditRecord(
        row.id, row.at, row.actor, row.action, row.reason, orjson.loads(row.detail), row.previous, row.hash
    )
