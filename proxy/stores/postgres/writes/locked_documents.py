"""Documents that other transactions have locked for too long: the answers to writes of them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

import sql
from proxy.base.database import Database, Session
from proxy.base.errors import DatabaseError, DatabaseUnavailable
from proxy.base.sqlstates import is_a_conflict
from proxy.model.documents import valid_key
from proxy.semantics.document_writes import DocumentAction, PreparedWrite
from proxy.semantics.unique_index import UniqueIndex
from proxy.semantics.write_rules import ConflictError
from proxy.stores.postgres.catalog import Relation
from proxy.stores.postgres.writes.interruptions import ExclusiveLockError
from proxy.stores.postgres.writes.key_assignment import Prepared

LOCK_TIMEOUT: Final = "55P03"
_UNIQUE_VIOLATION: Final = "23505"
_ENTRIES: Final = re.compile(r'"unique/(\d+)')  # the table of a unique index, in PostgreSQL's context of an error
_TABLE_WAIT: Final = "50ms"


def is_blocked(error: DatabaseError, *, inside: bool, looked_up: bool) -> bool:
    """Return True if another transaction has a document, or a value of a unique index, for too long.

    inside: or has changed it since the snapshot of this one. looked_up: a value that is taken all the same was free in
    that snapshot.
    """
    if error.sqlstate == LOCK_TIMEOUT:
        return True
    return inside and (is_a_conflict(error.sqlstate) or (looked_up and error.sqlstate == _UNIQUE_VIOLATION))


def conflict(key: str, rev: str, index: UniqueIndex | None = None) -> ConflictError:
    """Return the error for a document that stays locked. index: that has a value for which it has waited."""
    where = "primary of type primary over '_key'"
    if index is not None:
        where = f"{index.name} of type {index.kind} over '{', '.join(index.fields)}'"
    message = f"timeout waiting to lock key - in index {where}; conflicting key: {key}"
    return ConflictError(key, rev, precondition=False, message=message)


def index_waited_for(error: DatabaseError, uniques: Iterable[UniqueIndex]) -> UniqueIndex | None:
    """Return the unique index that has a value which a statement waited for until its time was up."""
    found = _ENTRIES.search(error.where) if error.sqlstate == LOCK_TIMEOUT else None
    return None if found is None else next((one for one in uniques if one.id == found[1]), None)


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
