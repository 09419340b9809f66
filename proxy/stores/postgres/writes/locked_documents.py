"""Documents that other transactions have locked for too long: the answers to writes of them."""

from __future__ import annotations

import dataclasses
from typing import Final

import sql
from proxy.base.database import Session
from proxy.base.errors import DatabaseUnavailable, StatementError
from proxy.model.documents import valid_key
from proxy.semantics.document_writes import PreparedWrite
from proxy.semantics.write_rules import ConflictError
from proxy.stores.postgres.writes.key_assignment import Prepared

LOCK_TIMEOUT: Final = "55P03"
_TABLE_WAIT: Final = "50ms"


def conflict(key: str, rev: str) -> ConflictError:
    """Return the error for a document that stays locked."""
    message = f"timeout waiting to lock key - in index primary of type primary over '_key'; conflicting key: {key}"
    return ConflictError(key, rev, precondition=False, message=message)


async def without_locked(session: Session, relation: str, prepared: Prepared | None) -> PreparedWrite | None:
    """Return a write of an array without the elements whose documents are locked: they are refused, and no others.

    None if it is no array, or if none of its documents is found to be locked. Raise DatabaseError.
    """
    if not isinstance(prepared, PreparedWrite) or not prepared.request.many:
        return None
    keys = sorted(key for key in prepared.keys if valid_key(key))
    try:
        async with session.transaction():
            # the whole table may be locked, for as long as a stream transaction lasts
            await session.fetchval(sql.complete.LOCK_WAIT, _TABLE_WAIT)
            locked = frozenset(await session.fetch(sql.writes.LOCKED_KEYS.on(relation), keys))
    except StatementError:  # a document has changed since the snapshot of a stream transaction
        return None
    except DatabaseUnavailable as error:
        if error.sqlstate != LOCK_TIMEOUT:
            raise
        return None
    targets = [conflict(target, "") if target in locked else target for target in prepared.targets]
    return dataclasses.replace(prepared, targets=targets) if locked else None
