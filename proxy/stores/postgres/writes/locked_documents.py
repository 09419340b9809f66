"""Documents that other transactions have locked for too long: the answers to writes of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import sql
from proxy.base.database import Database, Session
from proxy.base.errors import DatabaseUnavailable
from proxy.model.documents import valid_key
from proxy.semantics.document_writes import DocumentAction, PreparedWrite
from proxy.semantics.write_rules import ConflictError
from proxy.stores.postgres.catalog import Relation
from proxy.stores.postgres.writes.interruptions import ExclusiveLockError
from proxy.stores.postgres.writes.key_assignment import Prepared

LOCK_TIMEOUT: Final = "55P03"
_TABLE_WAIT: Final = "50ms"


def conflict(key: str, rev: str) -> ConflictError:
    """Return the error for a document that stays locked."""
    message = f"timeout waiting to lock key - in index primary of type primary over '_key'; conflicting key: {key}"
    return ConflictError(key, rev, precondition=False, message=message)


async def check_exclusive(database: Database | Session, relations: Iterable[Relation]) -> None:
    """Raise ExclusiveLockError if a stream transaction keeps writers out of one of the relations. Raise DatabaseError.

    For a statement that has waited for too long: it does not say whether for a document or for the table.
    """
    for one in relations:
        if await database.fetchval(sql.writes.EXCLUSIVELY_LOCKED, one.relation):
            raise ExclusiveLockError(one.name, one.relation)


async def without_locked(session: Session, relation: str, prepared: Prepared | None) -> Prepared | None:
    """Return an array or import without the documents that are locked: they are refused, and no others.

    Those are locked, too, that have changed since the snapshot of a stream transaction. None if the write is one of a
    single document, or if none is found to be locked. Raise DatabaseError.
    """
    if prepared is None or (isinstance(prepared, PreparedWrite) and not prepared.request.many):
        return None
    keys = sorted(key for key in prepared.keys if valid_key(key))
    inserts = not isinstance(prepared, PreparedWrite) or prepared.request.kind is DocumentAction.INSERT
    try:
        async with session.transaction():
            # the whole table may be locked, for as long as a stream transaction lasts
            await session.fetchval(sql.complete.LOCK_WAIT, _TABLE_WAIT)
            locked = await session.fetch(sql.writes.BLOCKED_KEYS, relation, keys, inserts)
    except DatabaseUnavailable as error:
        if error.sqlstate != LOCK_TIMEOUT:
            raise
        return None
    return prepared.refusing({key: conflict(key, "") for key in locked}) if locked else None
