"""Find the collection that a request reads or writes: the server's, or the copy of the request's stream transaction.

Access is checked here, since only here it is known which collections a request touches.
"""

from __future__ import annotations

from typing import Final

from proxy.base.errors import ArangoError
from proxy.devserver.store import access
from proxy.devserver.store.state.collection import Collection
from proxy.devserver.store.state.locks import exclusive_error
from proxy.devserver.store.state.server import ServerState
from proxy.devserver.store.state.transaction import Transaction, TransactionStatus
from proxy.model.operations import Operation

_IDLE_SECONDS: Final = 60.0
LOCK_SECONDS: Final = 900.0  # lockTimeout, unless a request gives another
_KEEP_FINISHED: Final = 1000


def transaction_of(server: ServerState, operation: Operation) -> Transaction | None:
    """Return the running transaction that a request names; None if it names none. Raise ArangoError 1655, 1654."""
    headers = operation.headers
    number = headers.get("x-arango-trx-id") if headers else None
    if number is None:
        return None
    found = find_transaction(server, operation, number)
    if not found.running:
        raise ArangoError(
            1654 if found.status is TransactionStatus.ABORTED else 1655, f"transaction '{number}' not found"
        )
    found.used = server.now()
    return found


def find_transaction(server: ServerState, operation: Operation, number: str) -> Transaction:
    """Return a transaction of the request's database and user. Raise ArangoError 1655."""
    database = server.database(operation)
    expire_transactions(server)
    found = server.transactions.get(number)
    if found is None or found.database is not database or not belongs(server, operation, found):
        raise ArangoError(1655, f"transaction '{number}' not found")
    return found


def belongs(server: ServerState, operation: Operation, transaction: Transaction) -> bool:
    """Return True if the transaction is the user's. Only a superuser sees those of others."""
    who = access.identity(server, operation)
    return who.superuser or who.user == transaction.user


def expire_transactions(server: ServerState) -> None:
    """Abort transactions that no request has used for a minute, and forget old ones that have ended."""
    for transaction in server.transactions.values():
        if transaction.running and server.now() - transaction.used > _IDLE_SECONDS:
            transaction.end(TransactionStatus.ABORTED)
    ended = [number for number, transaction in server.transactions.items() if not transaction.running]
    for number in ended[:-_KEEP_FINISHED]:
        del server.transactions[number]


def readable(server: ServerState, operation: Operation, name: str) -> Collection:
    """Return the collection to read from."""
    transaction = transaction_of(server, operation)
    if transaction is not None:
        found = transaction.collection(name, write=False)
    else:
        database = server.database(operation)
        found = database.collections.get(name) or database.find(name)
    if server.accounts.limited:
        access.collection(server, operation, found.name, write=False)
    return found


def writable(server: ServerState, operation: Operation, name: str) -> Collection:
    """Return the collection to write to. Raise LockedError if a transaction has locked it exclusively."""
    transaction = transaction_of(server, operation)
    if server.accounts.limited:
        access.collection(server, operation, server.database(operation).find(name).name, write=True)
    if transaction is not None:
        return transaction.collection(name, write=True)
    found = server.database(operation).find(name)
    if found.exclusive is not None:
        raise exclusive_error(found.name, LOCK_SECONDS)
    return found


def require_exclusive(server: ServerState, operation: Operation, collection: Collection) -> None:
    """Raise LockedError if running transactions write the collection, which a truncation needs for itself."""
    if transaction_of(server, operation) is not None:
        return
    database = server.database(operation)
    for other in server.transactions.values():
        if other.running and other.database is database and collection.name in other.writers:
            raise exclusive_error(collection.name, LOCK_SECONDS)
