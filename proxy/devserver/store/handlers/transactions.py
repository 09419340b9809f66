"""Stream transactions: begin, status, commit, abort, list.

A key that a transaction wrote is locked: another writer waits a second for it (`store` does) and then gets 1200. A
collection that it locked exclusively is not written by any other request. Protocol page, section 5.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from proxy.base.errors import ArangoError
from proxy.devserver.store import access
from proxy.devserver.store.collection_lookup import LOCK_SECONDS, belongs, expire_transactions, find_transaction
from proxy.devserver.store.commands import EndpointCommand
from proxy.devserver.store.state.collection import Collection
from proxy.devserver.store.state.database import ServerDatabase
from proxy.devserver.store.state.locks import Locks, exclusive_error
from proxy.devserver.store.state.server import ServerState
from proxy.devserver.store.state.transaction import Transaction, TransactionStatus
from proxy.model import json_reader
from proxy.model.json_values import parse
from proxy.model.operations import Operation, Outcome
from proxy.semantics.encoded_document import revision_of
from proxy.semantics.write_rules import ConflictError
from proxy.wire.encode import json_outcome


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a request declares. implicit: it may read other collections. lock_seconds: how long it waits for locks."""

    read: frozenset[str]
    write: frozenset[str]
    exclusive: frozenset[str]
    implicit: bool
    lock_seconds: float


def declaration(server: ServerState, operation: Operation) -> Declaration:
    """Return what the body of a begin declares. Raise ArangoError 10, 1203, and 11 if its user may not do it."""
    database = server.database(operation)
    body = parse(operation.body)
    collections = body.get("collections") if isinstance(body, dict) else None
    if not isinstance(collections, dict):
        raise ArangoError(10, "missing/invalid collections definition for transaction")
    names = {kind: _names(collections.get(kind)) for kind in ("read", "write", "exclusive")}
    found = {kind: frozenset(database.find(name).name for name in given) for kind, given in names.items()}
    for name in sorted(found["read"] | found["write"] | found["exclusive"]):
        if server.accounts.limited:
            access.collection(server, operation, name, write=name not in found["read"])
    implicit = bool(body.get("allowImplicit", True))
    return Declaration(found["read"], found["write"], found["exclusive"], implicit, _lock_seconds(body))


def begin(server: ServerState, operation: Operation) -> Outcome:
    """POST /_api/transaction/begin."""
    database = server.database(operation)
    expire_transactions(server)
    declared = declaration(server, operation)
    _acquire(server, database, declared)
    transaction = Transaction(
        str(server.tick()),
        database,
        declared.read,
        declared.write | declared.exclusive,
        declared.exclusive,
        declared.implicit,
        server.now(),
        access.identity(server, operation).user,
        server.wake,
    )
    readable = database.collections.keys() if declared.implicit else transaction.readers
    for name in sorted(readable):
        transaction.collection(name, write=False)
    for name in sorted(transaction.writers):
        transaction.collection(name, write=True)
    transaction.later = True
    for name in transaction.exclusive:
        database.find(name).exclusive = transaction.id
    server.transactions[transaction.id] = transaction
    return answer(201, transaction)


def _lock_seconds(body: dict[str, Any]) -> float:
    seconds = body.get("lockTimeout", LOCK_SECONDS)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds < 0:
        raise ArangoError(10, "expecting positive value for 'lockTimeout'")
    return float(seconds) or LOCK_SECONDS


def _acquire(server: ServerState, database: ServerDatabase, declared: Declaration) -> None:
    """Raise LockedError if a running transaction writes what this one locks exclusively, or the other way round."""
    for other in server.transactions.values():
        if other.running and other.database is database:
            clash = (declared.exclusive & other.writers) | (declared.write & other.exclusive)
            if clash:
                raise exclusive_error(min(clash), declared.lock_seconds)


def _names(value: Any) -> list[str]:
    names = [value] if isinstance(value, str) else value or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ArangoError(10, "missing/invalid collections definition for transaction")
    return names


def status(server: ServerState, operation: Operation) -> Outcome:
    """GET /_api/transaction/{id}."""
    return answer(200, find_transaction(server, operation, operation.path[2]))


def commit(server: ServerState, operation: Operation) -> Outcome:
    """PUT /_api/transaction/{id}: what it wrote becomes visible, all together. A second commit is not an error."""
    transaction = find_transaction(server, operation, operation.path[2])
    if transaction.status is TransactionStatus.ABORTED:
        raise ArangoError(1653, "transaction was already aborted", status=400)
    if transaction.running:
        apply(server, transaction)
    return answer(200, transaction)


def apply(server: ServerState, transaction: Transaction) -> None:
    """Apply a transaction's writes to the server's collections, as one transaction of the log.

    Raise ConflictError, or ArangoError 1210 if a unique index forbids a write; nothing has changed then.
    """
    database = transaction.database
    changes = [
        (shared, transaction.forks[name], keys)
        for name, keys in transaction.written.items()
        if (shared := database.collections.get(name)) is not None
    ]
    for shared, fork, keys in changes:
        for key in keys:
            if shared.locks.get(key) not in (None, transaction.id):
                raw = shared.get(key)
                raise ConflictError(key, revision_of(raw) if raw else "", precondition=False)
        fork.locks = Locks()
    touched = [(shared, key) for shared, _, keys in changes for key in keys]
    undo: list[tuple[Collection, str, bytes | None]] = []
    server.log.begin(database.name, transaction.id)
    try:
        _release_values(touched)  # of all, since documents may have exchanged them
        for shared, fork, keys in changes:
            for key in keys:
                raw, old = fork.get(key), shared.get(key)
                if raw is not None:
                    shared.put(key, raw, json_reader.load(raw), fork.revision)
                elif old is not None:
                    shared.remove(key, fork.revision)
                undo.append((shared, key, old))
    except ArangoError:  # another request has filled a unique index in the meantime
        _release_values(touched)
        for shared, key, old in reversed(undo):
            shared.put_back(key, old)
        for shared, key in touched:
            shared.claim_values(key)
        raise
    finally:
        server.log.commit(database.name)
    transaction.end(TransactionStatus.COMMITTED)


def _release_values(documents: list[tuple[Collection, str]]) -> None:
    for collection, key in documents:
        collection.release_values(key)


def abort(server: ServerState, operation: Operation) -> Outcome:
    """DELETE /_api/transaction/{id}; `/write` aborts all of the database."""
    database = server.database(operation)
    number = operation.path[2]
    if number == "write":
        for transaction in server.transactions.values():
            mine = transaction.database is database and belongs(server, operation, transaction)
            if mine and transaction.running and transaction.writers:
                transaction.end(TransactionStatus.ABORTED)
        return json_outcome(200, {"error": False, "code": 200})
    transaction = find_transaction(server, operation, number)
    if transaction.status is TransactionStatus.COMMITTED:
        raise ArangoError(1653, "transaction was already committed", status=400)
    transaction.end(TransactionStatus.ABORTED)
    return answer(200, transaction)


def list_running(server: ServerState, operation: Operation) -> Outcome:
    """GET /_api/transaction."""
    database = server.database(operation)
    expire_transactions(server)
    running = [
        {"id": transaction.id, "state": transaction.status.value}
        for transaction in server.transactions.values()
        if transaction.database is database and transaction.running and belongs(server, operation, transaction)
    ]
    return json_outcome(200, {"transactions": running})


def answer(code: int, transaction: Transaction) -> Outcome:
    """Return the answer that shows the state of a transaction."""
    result = {"id": transaction.id, "status": transaction.status.value}
    return json_outcome(code, {"code": code, "error": False, "result": result})


COMMANDS: Final = {
    "transaction.begin": EndpointCommand(begin),
    "transaction.status": EndpointCommand(status),
    "transaction.commit": EndpointCommand(commit),
    "transaction.abort": EndpointCommand(abort),
    "transaction.list": EndpointCommand(list_running),
}
