"""Mismatches for the command line: listed, shown, marked as repaired or ignored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

import sql
from proxy.base.database import Database


@dataclass(frozen=True, slots=True)
class MismatchFingerprint:
    """One fingerprint. kind: its class; samples: only if one mismatch is shown."""

    id: int
    collection: str
    fingerprint: str
    kind: str
    paths: tuple[str, ...]
    state: str
    seen: int
    first_seen: datetime
    last_seen: datetime
    keys: tuple[str, ...]
    samples: tuple[dict[str, Any], ...] = ()


async def list_mismatches(
    database: Database, collection: str | None = None, state: str | None = "open"
) -> list[MismatchFingerprint]:
    """Return mismatches, the newest first; state None: all. Raise DatabaseError."""
    return [_row(row) for row in await database.fetch(sql.shadow.LIST_MISMATCHES, collection, state)]


async def show_mismatch(database: Database, identifier: int) -> MismatchFingerprint | None:
    """Return one mismatch with its samples; None if the id is not known. Raise DatabaseError."""
    row = await database.fetchrow(sql.shadow.SHOW_MISMATCH, identifier)
    return None if row is None else _row(row)


async def find_mismatch(database: Database, fingerprint: str) -> int | None:
    """Return the id of the mismatch whose fingerprint begins so; None if none or several do. Raise DatabaseError."""
    rows = await database.fetch(sql.shadow.FIND_MISMATCH, fingerprint)
    return rows[0] if len(rows) == 1 else None


async def mark_repaired(
    database: Database, *, ids: Sequence[int] | None = None, collection: str | None = None
) -> list[str]:
    """Mark the mismatches of these ids, or all open ones of a collection, as repaired. Return their collections.

    The counts of these collections are reset; a fingerprint that is seen again opens again. Raise DatabaseError.
    """
    return await _mark(database, "repaired", ids, collection)


async def mark_ignored(
    database: Database, *, ids: Sequence[int] | None = None, collection: str | None = None
) -> list[str]:
    """Mark mismatches as ignored: if they are seen again they are counted, and block nothing."""
    return await _mark(database, "ignored", ids, collection)


async def _mark(database: Database, state: str, ids: Sequence[int] | None, collection: str | None) -> list[str]:
    async with database.transaction() as session:
        rows = await session.fetch(sql.shadow.MARK_MISMATCHES, state, None if ids is None else list(ids), collection)
        concerned = sorted(set(rows) | ({collection} if collection is not None else set()))
        if concerned:
            await session.execute(sql.shadow.RESET_COMPARISONS, concerned)
        return concerned


def _row(row: sql.shadow.MismatchRow) -> MismatchFingerprint:
    return MismatchFingerprint(
        row.id,
        row.collection,
        row.fingerprint,
        row.kind,
        tuple(row.paths),
        row.state,
        row.seen,
        row.first_seen,
        row.last_seen,
        tuple(row.keys),
        tuple(orjson.loads(row.samples)),
    )
