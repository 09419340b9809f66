"""The entries of the catalog in PostgreSQL: read with their version; written in a transaction that has raised it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import sql
from proxy.base.database import Session
from proxy.complete.catalog import Entries, Entry


@dataclass(frozen=True, slots=True)
class StoredEntries:
    """The catalog as it is stored; without entries before a server began. relations: tables by `database/name`."""

    version: int
    entries: Entries
    relations: dict[str, str]


async def read_entries(session: Session) -> StoredEntries:
    """Return every entry, in the order of creation. Raise DatabaseError."""
    rows = await session.fetch(sql.complete.CATALOG)
    entries: Entries = {}
    relations: dict[str, str] = {}
    for row in rows:
        if row.kind is not None and row.name is not None and row.body is not None:
            entries[Entry(row.kind, row.name)] = row.body.encode()
            if row.relation is not None:
                relations[row.name] = row.relation
    return StoredEntries(rows[0].version, entries, relations)


async def write_entries(session: Session, note: Entries, forget: Iterable[Entry]) -> None:
    """Add or change the entries of `note`, and remove those of `forget`. Raise DatabaseError."""
    gone = list(forget)
    if gone:
        await session.execute(sql.complete.FORGET, [entry.kind for entry in gone], [entry.name for entry in gone])
    if note:
        bodies = [body.decode() for body in note.values()]
        await session.execute(sql.complete.NOTE, [entry.kind for entry in note], [entry.name for entry in note], bodies)
