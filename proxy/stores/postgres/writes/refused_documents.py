"""Documents that PostgreSQL refuses for their content: too large for it, or against a constraint of SQL clients."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

from proxy.base.database import Session
from proxy.base.errors import ArangoError, DatabaseError, StatementError
from proxy.base.sqlstates import of_a_document
from proxy.model.operations import Operation
from proxy.semantics.document_writes import PreparedWrite
from proxy.stores.postgres.writes.interruptions import CollectionChangedError, KeyInsertedError
from proxy.stores.postgres.writes.key_assignment import Prepared
from proxy.stores.postgres.writes.transaction import WriteTransaction

_UNIQUE_VIOLATION: Final = "23505"
_NOT_TRIED: Final = ArangoError(10)  # in the place of the documents that a trial leaves out


def refusal_of(error: DatabaseError) -> ArangoError:
    """Return the error of a document that PostgreSQL refuses: ArangoDB has none for that."""
    return ArangoError(10, f"PostgreSQL cannot hold the document: {error}", status=400)


class _Undone(Exception):
    """Ends a transaction that is only tried."""


async def refusal_of_trial(
    session: Session, transaction: WriteTransaction, operation: Operation, trial: Prepared, *, empties: bool
) -> StatementError | None:
    """Execute a write without effect. Return PostgreSQL's refusal of a document, if there is one.

    session: that of the transaction. Raise DatabaseError.
    """
    try:
        with contextlib.suppress(_Undone):
            async with session.transaction():
                await transaction.execute(operation, trial, empties=empties)
                raise _Undone
    except (CollectionChangedError, KeyInsertedError):
        return None
    except StatementError as error:
        if error.sqlstate == _UNIQUE_VIOLATION or not of_a_document(error.sqlstate):
            raise
        return error
    return None


async def without_refused(
    prepared: Prepared | None, refuses: Callable[[Prepared], Awaitable[StatementError | None]]
) -> Prepared | None:
    """Return an array or import without the documents that are refused: they have errors, and no others.

    refuses: executes a write without effect, and returns PostgreSQL's refusal. None if the write is one of a single
    document, or if no document is refused alone.
    """
    if prepared is None or (isinstance(prepared, PreparedWrite) and not prepared.request.many):
        return None
    write, errors = prepared, dict[str, ArangoError]()

    async def search(keys: list[str]) -> None:
        tried = set(keys)
        error = await refuses(write.refusing({key: _NOT_TRIED for key in write.keys if key not in tried}))
        if error is not None and len(keys) == 1:
            errors[keys[0]] = refusal_of(error)
        elif error is not None:
            half = len(keys) // 2
            await search(keys[:half])
            await search(keys[half:])

    await search(sorted(write.keys))
    return write.refusing(errors) if errors else None
