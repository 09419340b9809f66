"""The general way: one operation by its handler, in attempts, until one meets no other request."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from proxy.base.database import Database
from proxy.base.errors import ArangoError, CommitOutcomeUnknown, DatabaseUnavailable, StatementError
from proxy.base.sqlstates import is_a_conflict, may_succeed_on_new_session, of_a_document
from proxy.complete.catalog_cache import CatalogCache, CatalogChangedError
from proxy.complete.promotion_fence import PromotionFence
from proxy.complete.server_view import NoMoreTicks
from proxy.complete.view_attempt import Pass, ViewAttempt, ViewAttempts
from proxy.devserver.store.state.locks import exclusive_error
from proxy.model.operations import Operation, Outcome
from proxy.semantics.write_rules import ConflictError
from proxy.stores.postgres import own_indexes
from proxy.stores.postgres.writes.interruptions import KeyInsertedError, WriteFenceError
from proxy.stores.postgres.writes.locked_documents import check_exclusive
from proxy.wire.encode import error_outcome

_ATTEMPTS: Final = 10  # of a request that meets others, before it is a conflict
_LOCK_TIMEOUT: Final = "55P03"
_UNDEFINED: Final = frozenset({"42P01", "3F000"})  # the table, or its schema, is gone
_UNIQUE_VIOLATION: Final = "23505"
_DUPLICATE: Final = "42P07"


class GeneralWay:
    """Runs handlers over views."""

    def __init__(
        self, database: Database, catalogs: CatalogCache, attempts: ViewAttempts, fence: PromotionFence
    ) -> None:
        self._fence = fence
        self._database = database
        self._catalogs = catalogs
        self._attempts = attempts
        self._changing = asyncio.Lock()

    async def execute(self, operation: Operation, run: Pass, *, own_accounts: bool) -> Outcome:
        """Return the answer, after the commit. run: one pass. own_accounts: it may change accounts.

        Raise ExclusiveLockError, FenceRefused, DatabaseError.
        """
        try:
            return await self._attempted(operation, run, own_accounts=own_accounts)
        except CatalogChangedError:
            async with self._changing:  # changes of the catalog by this process do not compete
                for _ in range(_ATTEMPTS):
                    with contextlib.suppress(CatalogChangedError):
                        return await self._attempted(operation, run, own_accounts=own_accounts)
        return _conflict(operation, catalog=True)

    async def _attempted(self, operation: Operation, run: Pass, *, own_accounts: bool) -> Outcome:
        """Return the answer of an attempt that met no other request. Raise CatalogChangedError."""
        for _ in range(_ATTEMPTS):
            attempt = await self._attempts.begin(run, own_accounts=own_accounts)
            try:
                async with self._database.session() as session:
                    outcome = await attempt.execute(session)
                await self._ended(operation, attempt)
                return outcome
            except (WriteFenceError, KeyInsertedError):
                await self._fence.after_refusal(operation)
            except NoMoreTicks:
                await self._catalogs.refill()
            except ArangoError as error:  # documents that violate a new index make a bad request, not a conflict
                return error_outcome(ArangoError(error.number, error.message, status=400))
            except StatementError as error:
                if error.sqlstate == own_indexes.TOO_LARGE and await own_indexes.drop_too_small(
                    self._database, attempt.written, error
                ):
                    continue
                refusal = _refusal(error)
                if refusal is not None:
                    return refusal
            except DatabaseUnavailable as error:
                if not await self._may_succeed(attempt, error):
                    break
        return _conflict(operation, catalog=attempt.changes_catalog)

    async def _ended(self, operation: Operation, attempt: ViewAttempt) -> None:
        """Take note of what an attempt has changed. Raise FenceRefused if it changed nothing, and read in vain."""
        if attempt.changes_catalog:
            self._catalogs.forget()
        elif not attempt.locked:
            await self._fence.after_reads(operation)

    async def _may_succeed(self, attempt: ViewAttempt, error: DatabaseUnavailable) -> bool:
        """Return True if another attempt may succeed; False if it waited for a row for too long.

        Raise ExclusiveLockError, and the error itself if no attempt helps.
        """
        if error.sqlstate == _LOCK_TIMEOUT:
            await check_exclusive(self._database, attempt.locked)
            # the lock of a table that others read is tried for a short time only: later readers queue after it
            return attempt.changes_catalog
        if isinstance(error, CommitOutcomeUnknown) or not may_succeed_on_new_session(error.sqlstate):
            raise error
        return True


def _refusal(error: StatementError) -> Outcome | None:
    """Return the answer to a request that PostgreSQL refuses; None if another attempt may succeed. Else raise."""
    if is_a_conflict(error.sqlstate) or error.sqlstate in _UNDEFINED or error.sqlstate == _UNIQUE_VIOLATION:
        return None
    if error.sqlstate == _DUPLICATE:
        return error_outcome(ArangoError(1207, str(error)))
    if of_a_document(error.sqlstate):
        return error_outcome(ArangoError(10, f"PostgreSQL cannot hold it: {error}", status=400))
    raise error


def _conflict(operation: Operation, *, catalog: bool) -> Outcome:
    """Return the answer to a request that met others for too long."""
    if catalog:
        return error_outcome(exclusive_error(operation.collection or "", 0))
    key = operation.key or ""
    message = f"timeout waiting to lock key - in index primary of type primary over '_key'; conflicting key: {key}"
    return error_outcome(ConflictError(key, "", precondition=False, message=message))
