"""One attempt at one request, over a view whose documents are loaded on demand: its passes and its transaction.

First without a transaction, until a pass has no miss. If that pass changed nothing, its answer is the request's. Else
a transaction repeats it with the fence of each changed collection, the rows locked that it writes, and revisions drawn
after that, and writes the difference.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import sql
from proxy.base import failpoints
from proxy.base.database import Database, Session
from proxy.base.errors import PausedError
from proxy.complete import loading
from proxy.complete.catalog import COLLECTION, ServerCatalog
from proxy.complete.catalog_cache import CatalogCache, CatalogChangedError
from proxy.complete.catalog_changes import CatalogChanges, catalog_changes
from proxy.complete.collection_view import CollectionView
from proxy.complete.loaded_part import LoadedPart
from proxy.complete.persisting import write_catalog
from proxy.complete.server_view import (
    RepeatedTicks,
    ServerView,
    SessionsBefore,
    TickBlock,
    keep_sessions,
    present,
    view_of,
)
from proxy.devserver.store.state.server import ServerState
from proxy.model.operations import Outcome
from proxy.stores.postgres import unique_indexes
from proxy.stores.postgres.catalog import Relation
from proxy.stores.postgres.writes.interruptions import WriteFenceError
from proxy.stores.postgres.writes.locked_documents import check_exclusive
from proxy.stores.postgres.writes.row_changes import encoded, write_rows

Pass = Callable[[ServerView], Outcome]
_PASSES: Final = 100


class ViewAttempt:
    """One attempt. run: one pass. sessions: the state of this process. lock_wait: as PostgreSQL has it.

    own_accounts: a pass may change accounts. inside: it is a part of a stream transaction, whose snapshot may be older
    than the catalog; numbers: then, where numbers of keys are taken. changes_catalog: its last pass without a
    transaction did. written: the tables whose documents it changed. locked: those in which it locks documents.
    """

    def __init__(
        self,
        catalog: ServerCatalog,
        run: Pass,
        *,
        sessions: ServerState,
        ticks: TickBlock,
        lock_wait: str,
        own_accounts: bool,
        inside: bool = False,
        numbers: Database | None = None,
    ) -> None:
        self._catalog = catalog
        self._numbers = numbers
        self._run = run
        self._sessions = sessions
        self._ticks = RepeatedTicks(ticks)
        self._lock_wait = lock_wait
        self._own_accounts = own_accounts
        self._inside = inside
        self._parts: dict[str, LoadedPart] = {}
        self._first = sessions.clock.tick()  # new collections begin above it
        self._paused: PausedError | None = None  # the last pass has met a pause of its query
        self.changes_catalog = False
        self.written: list[str] = []
        self.locked: list[Relation] = []

    async def execute(self, session: Session) -> Outcome:
        """Return the answer, after the commit if there was something to write.

        Raise CatalogChangedError, WriteFenceError, KeyInsertedError, NoMoreTicks: nothing was written, and another
        attempt may succeed. Raise PausedError if a query sleeps, DatabaseError.
        """
        view, outcome, changes = await self._complete_pass(session)
        self.changes_catalog = bool(changes)
        self.locked = [_relation(seen) for seen in _written(view)]
        if not changes and not self.locked:  # a write that changes nothing waits all the same
            await check_exclusive(session, [_relation(seen) for seen in view.views.values() if seen.to_write])
        else:
            async with unique_indexes.built(session, changes.made_indexes, self._lock_wait), session.transaction():
                await session.fetchval(sql.complete.LOCK_WAIT, self._lock_wait)
                if changes and await session.fetchrow(sql.complete.RAISE_VERSION, self._catalog.version) is None:
                    raise CatalogChangedError
                if changes:
                    await self._fence_changes(session, changes)
                view, outcome, changes = await self._locked_pass(session, view, changes)
                failpoints.reach("write-fenced")
                await self._write(session, view, changes)
                failpoints.reach("write-made")
            failpoints.reach("write-committed")
        keep_sessions(view, self._sessions, self._before)
        return outcome

    async def _fence_changes(self, session: Session, changes: CatalogChanges) -> None:
        """Lock the fence of each collection that changes, but not its documents. Raise WriteFenceError."""
        known = {entry.name for entry in self._catalog.entries if entry.kind == COLLECTION}
        names = sorted({*changes.dropped, *changes.renamed, *changes.properties} & known)
        if len(await session.fetch(sql.stream_transactions.LOCK_WRITERS, names)) < len(names):
            raise WriteFenceError

    def _pass(self) -> tuple[ServerView, Outcome, CatalogChanges]:
        self._ticks.begin_pass()
        view = view_of(self._catalog, self._sessions, self._ticks, self._parts, own_accounts=self._own_accounts)
        self._before = SessionsBefore.of(view)
        self._paused = None
        try:
            outcome = self._run(view)
        except PausedError as paused:
            outcome, self._paused = Outcome(0), paused
        return view, outcome, catalog_changes(view, self._catalog, self._first)

    async def _complete_pass(self, session: Session) -> tuple[ServerView, Outcome, CatalogChanges]:
        """Return the first pass that misses nothing, and whose numbers of keys no other request has taken."""
        for _ in range(_PASSES):
            view, outcome, changes = self._pass()
            missed = [seen for seen in view.views.values() if seen.missing.anything]
            for seen in missed:
                await loading.load(session, seen, seen.missing, self._numbers or session)
            numbered = [seen for seen in view.views.values() if seen.numbers_to_take is not None]
            if not missed and self._paused is not None:
                raise self._paused
            if not missed and all([await loading.take_numbers(self._numbers or session, seen) for seen in numbered]):
                return view, outcome, changes
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
                await loading.lock(session, seen, keys | seen.part.locked, used, wait=self._lock_wait)
            if (
                not began_with_catalog
                and not self._inside
                and await session.fetchval(sql.complete.VERSION) != self._catalog.version
            ):
                raise CatalogChangedError  # from the fence on, it cannot change for these collections
            view, outcome, changes = await self._complete_pass(session)
            if bool(changes) and not began_with_catalog:
                raise CatalogChangedError  # its version must be raised before documents are locked: from the beginning
        raise WriteFenceError

    async def _write(self, session: Session, view: ServerView, changes: CatalogChanges) -> None:
        for seen in sorted(_written(view), key=lambda seen: seen.stored.qualified):
            rows = seen.changes().rows(seen.part)
            self.written.append(seen.stored.relation)
            name, relation = seen.stored.qualified, seen.stored.relation
            await write_rows(session, name, relation, encoded(rows), noted=seen.part.noted)
        if changes:
            await write_catalog(session, changes, self._first)


class ViewAttempts:
    """Makes the attempts of this process. sessions: its state. lock_wait: seconds to wait for a row."""

    def __init__(self, database: Database, catalogs: CatalogCache, sessions: ServerState, lock_wait: float) -> None:
        self._database = database
        self._catalogs = catalogs
        self._sessions = sessions
        self._lock_wait = f"{int(lock_wait * 1000)}ms"

    async def begin(self, run: Pass, *, own_accounts: bool = False, inside: bool = False) -> ViewAttempt:
        """Return an attempt over the present catalog, with the arguments of ViewAttempt. Raise DatabaseError."""
        return ViewAttempt(
            await self._catalogs.current(),
            run,
            sessions=self._sessions,
            ticks=self._catalogs.ticks,
            lock_wait=self._lock_wait,
            own_accounts=own_accounts,
            inside=inside,
            numbers=self._database if inside else None,
        )


def _relation(seen: CollectionView) -> Relation:
    return Relation(seen.stored.qualified, seen.stored.relation, seen.edge)


def _written(view: ServerView) -> list[CollectionView]:
    """Return the collections whose documents a pass has changed, except those that it dropped."""
    kept = [collection for _, collection in present(view)]
    return [seen for seen in view.views.values() if seen in kept and seen.changes()]
