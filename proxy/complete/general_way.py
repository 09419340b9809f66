"""The general way: one operation by its handler, over a view whose documents are loaded on demand.

First without a transaction, until a pass has no miss. If that pass changed nothing, its answer is the request's. Else
a transaction repeats it with the fence of each changed collection, the rows locked that it writes, and revisions drawn
after that, and writes the difference.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import sql
from proxy.base.database import Database, Session
from proxy.base.errors import ArangoError, CommitOutcomeUnknown, DatabaseUnavailable, StatementError
from proxy.base.sqlstates import is_a_conflict, may_succeed_on_new_session, of_a_document
from proxy.complete import loading
from proxy.complete.catalog import ServerCatalog
from proxy.complete.catalog_cache import CatalogCache, CatalogChangedError
from proxy.complete.collection_view import CollectionView
from proxy.complete.loaded_part import LoadedPart
from proxy.complete.persisting import write_catalog, write_rows
from proxy.complete.server_view import (
    CatalogChanges,
    NoMoreTicks,
    ServerView,
    catalog_changes,
    keep_sessions,
    view_of,
)
from proxy.devserver.store.state.server import ServerState
from proxy.model.operations import Operation, Outcome
from proxy.semantics.write_rules import ConflictError
from proxy.stores.postgres.writes.interruptions import KeyInsertedError, WriteFenceError
from proxy.wire.encode import error_outcome

Pass = Callable[[ServerView], Outcome]
_ATTEMPTS: Final = 10  # of a request that meets others, before it is a conflict
_PASSES: Final = 100
_LOCK_TIMEOUT: Final = "55P03"
_UNDEFINED: Final = frozenset({"42P01", "3F000"})  # the table, or its schema, is gone
_UNIQUE_VIOLATION: Final = "23505"
_DUPLICATE: Final = "42P07"


class GeneralWay:
    """Runs handlers over views. sessions: the state of this process. lock_wait: seconds to wait for a row."""

    def __init__(self, database: Database, catalogs: CatalogCache, sessions: ServerState, lock_wait: float) -> None:
        self._database = database
        self._catalogs = catalogs
        self._sessions = sessions
        self._lock_wait = f"{int(lock_wait * 1000)}ms"

    async def execute(self, operation: Operation, run: Pass, *, own_accounts: bool) -> Outcome:
        """Return the answer, after the commit. run: one pass. own_accounts: it may change accounts.

        Raise DatabaseError.
        """
        for _ in range(_ATTEMPTS):
            attempt = _Attempt(self, await self._catalogs.current(), run, own_accounts=own_accounts)
            try:
                async with self._database.session() as session:
                    return await attempt.execute(session)
            except (CatalogChangedError, WriteFenceError, KeyInsertedError):
                continue
            except NoMoreTicks:
                await self._catalogs.refill()
            except ArangoError as error:  # documents that violate a new index make a bad request, not a conflict
                return error_outcome(ArangoError(error.number, error.message, status=400))
            except StatementError as error:
                refusal = _refusal(error)
                if refusal is not None:
                    return refusal
            except DatabaseUnavailable as error:
                if isinstance(error, CommitOutcomeUnknown):
                    raise
                if error.sqlstate == _LOCK_TIMEOUT:
                    break
                if not may_succeed_on_new_session(error.sqlstate):
                    raise
        return self._locked(operation)

    def view(self, catalog: ServerCatalog, parts: dict[str, LoadedPart], *, own_accounts: bool) -> ServerView:
        """Return the state for one pass."""
        return view_of(catalog, self._sessions, self._catalogs.ticks, parts, own_accounts=own_accounts)

    def keep(self, view: ServerView, before: dict[str, object]) -> None:
        """Keep the cursors of a pass that counts."""
        keep_sessions(view, self._sessions, before)

    @property
    def lock_wait(self) -> str:
        return self._lock_wait

    def first_revision(self) -> int:
        """Return the revision above which those of new collections begin."""
        return self._sessions.clock.tick()

    def _locked(self, operation: Operation) -> Outcome:
        """Return the answer to a request that met others for too long."""
        key = operation.key or ""
        message = f"timeout waiting to lock key - in index primary of type primary over '_key'; conflicting key: {key}"
        return error_outcome(ConflictError(key, "", precondition=False, message=message))


def _refusal(error: StatementError) -> Outcome | None:
    """Return the answer to a request that PostgreSQL refuses; None if another attempt may succeed. Else raise."""
    if is_a_conflict(error.sqlstate) or error.sqlstate in _UNDEFINED or error.sqlstate == _UNIQUE_VIOLATION:
        return None
    if error.sqlstate == _DUPLICATE:
        return error_outcome(ArangoError(1207, str(error)))
    if of_a_document(error.sqlstate):
        return error_outcome(ArangoError(10, f"PostgreSQL cannot hold it: {error}", status=400))
    raise error


class _Attempt:
    """One attempt at one request: its passes and its transaction."""

    def __init__(self, way: GeneralWay, catalog: ServerCatalog, run: Pass, *, own_accounts: bool) -> None:
        self._way = way
        self._catalog = catalog
        self._run = run
        self._own_accounts = own_accounts
        self._parts: dict[str, LoadedPart] = {}
        self._first = way.first_revision()

    async def execute(self, session: Session) -> Outcome:
        """Return the answer, after the commit if there was something to write."""
        view, outcome, changes = await self._complete_pass(session)
        if changes or _written(view):
            async with session.transaction():
                await session.fetchval(sql.complete.LOCK_WAIT, self._way.lock_wait)
                if changes and await session.fetchrow(sql.complete.RAISE_VERSION, self._catalog.version) is None:
                    raise CatalogChangedError
                view, outcome, changes = await self._locked_pass(session, view, changes)
                await self._write(session, view, changes)
        self._way.keep(view, self._before)
        return outcome

    def _pass(self) -> tuple[ServerView, Outcome, CatalogChanges]:
        view = self._way.view(self._catalog, self._parts, own_accounts=self._own_accounts)
        self._before: dict[str, object] = dict(view.cursors)
        outcome = self._run(view)
        return view, outcome, catalog_changes(view, self._catalog, self._first)

    async def _complete_pass(self, session: Session) -> tuple[ServerView, Outcome, CatalogChanges]:
        """Return the first pass that misses nothing."""
        for _ in range(_PASSES):
            view, outcome, changes = self._pass()
            missed = [seen for seen in view.views.values() if seen.missing.anything]
            if not missed:
                return view, outcome, changes
            for seen in missed:
                await loading.load(session, seen, seen.missing)
        raise WriteFenceError

    async def _locked_pass(
        self, session: Session, view: ServerView, changes: CatalogChanges
    ) -> tuple[ServerView, Outcome, CatalogChanges]:
        """Return a pass of which every key that it writes is locked, with revisions drawn after that."""
        began_with_catalog = bool(changes)
        outcome: Outcome | None = None
        for _ in range(_PASSES):
            wanting = [
                (seen, keys)
                for seen in sorted(_written(view), key=lambda seen: seen.stored.qualified)
                if (keys := set(seen.changes().documents) - seen.part.locked)
                or seen.missing.revisions
                or seen.documents.emptied > seen.part.emptied
            ]
            if outcome is not None and not wanting:
                return view, outcome, changes
            for seen, keys in wanting:
                used = seen.revisions_used
                await loading.lock(session, seen, keys | seen.part.locked, used, wait=self._way.lock_wait)
            if not began_with_catalog and await session.fetchval(sql.complete.VERSION) != self._catalog.version:
                raise CatalogChangedError  # from the fence on, it cannot change for these collections
            view, outcome, changes = await self._complete_pass(session)
            if bool(changes) and not began_with_catalog:
                raise CatalogChangedError  # its version must be raised before documents are locked: from the beginning
        raise WriteFenceError

    async def _write(self, session: Session, view: ServerView, changes: CatalogChanges) -> None:
        for seen in sorted(_written(view), key=lambda seen: seen.stored.qualified):
            rows = seen.changes().rows(seen.part)
            await write_rows(session, seen.stored.qualified, seen.stored.relation, rows)
            if (last := seen.last_key) is not None:
                taken = await session.fetchrow(
                    sql.writes.TAKE_KEYS, seen.stored.qualified, str(seen.part.last_key), str(last)
                )
                if not taken:
                    raise KeyInsertedError
        if changes:
            await write_catalog(session, changes, self._first)


def _written(view: ServerView) -> list[CollectionView]:
    """Return the collections whose documents a pass has changed, except those that it dropped."""
    kept = {collection.id for _, collection in view.collections()}
    return [seen for seen in view.views.values() if seen.id in kept and seen.changes()]
