"""Stream transactions: snapshots of collections, changed apart, applied at commit.

A transaction sees its collections as they were when it began (declared ones) or first used them, and its own writes;
nobody else sees those before the commit. A key that it wrote is locked: another writer gets 1200 at once, where
ArangoDB would let it wait a second first. Protocol page, section 5.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from proxy.errors import ArangoError
from proxy.operations import Operation, Outcome
from proxy.stores.memory import writes
from proxy.stores.memory.collection import Collection, revision_of
from proxy.stores.memory.server import Database, Handler, Server
from proxy.stores.memory.writes import ConflictError
from proxy.values import parse
from proxy.wire.encode import json_outcome

_IDLE_SECONDS: Final = 60.0
_KEEP_FINISHED: Final = 1000


@dataclass(slots=True)
class Transaction:
    """One stream transaction. forks: by name of the collection; written: the keys that it wrote, by name."""

    id: str
    database: Database
    readers: frozenset[str]
    writers: frozenset[str]
    implicit: bool
    used: float
    status: str = "running"
    forks: dict[str, Collection] = field(default_factory=dict)
    written: dict[str, dict[str, None]] = field(default_factory=dict)

    def collection(self, name: str, *, write: bool) -> Collection:
        """This transaction's view of a collection. Raises ArangoError 1203, 1652."""
        origin = self.database.find(name)
        declared = origin.name in self.writers or (origin.name in self.readers and not write)
        if not declared and (write or not self.implicit):
            raise ArangoError(
                1652,
                f"unregistered collection used in transaction: {origin.name} [{'write' if write else 'read'}]",
            )
        fork = self.forks.get(origin.name)
        if fork is None:
            fork = origin.fork(self._seen)
            fork.locks = _Locks(self, origin, fork)
            self.forks[origin.name] = fork
        return fork

    def _seen(self, fork: Collection, key: str, _raw: bytes | None, _old: bytes | None) -> None:
        self.written.setdefault(fork.name, {})[key] = None
        self.database.find(fork.name).locks[key] = self.id

    def release(self) -> None:
        for name, keys in self.written.items():
            origin = self.database.collections.get(name)
            if origin is not None:
                for key in keys:
                    if origin.locks.get(key) == self.id:
                        del origin.locks[key]
        self.forks.clear()


class _Locks(dict[str, str]):
    """What `key in collection.locks` means for a fork: somebody else has written the key since it was made."""

    def __init__(self, transaction: Transaction, origin: Collection, fork: Collection) -> None:
        super().__init__()
        self._transaction = transaction
        self._origin = origin
        self._snapshot = dict(fork.documents)

    def __bool__(self) -> bool:
        return True

    def __contains__(self, key: object) -> bool:
        if not isinstance(key, str):
            return False
        holder = self._origin.locks.get(key)
        if holder is not None:
            return holder != self._transaction.id
        return self._origin.documents.get(key) != self._snapshot.get(key)


def of(server: Server, operation: Operation) -> Transaction | None:
    """The running transaction that a request belongs to. Raises ArangoError 1655, 1654."""
    headers = operation.headers
    number = headers.get("x-arango-trx-id") if headers else None
    if number is None:
        return None
    found = _find(server, number, server.database(operation))
    if found.status != "running":
        raise ArangoError(1654 if found.status == "aborted" else 1655, f"transaction '{number}' not found")
    found.used = server.now()
    return found


def readable(server: Server, operation: Operation, name: str) -> Collection:
    """The collection to read from: the server's, or the view of the request's transaction."""
    transaction = of(server, operation)
    if transaction is not None:
        return transaction.collection(name, write=False)
    database = server.databases.get(operation.database)
    if database is None:
        raise ArangoError(1228)
    found = database.collections.get(name)
    return found if found is not None else database.find(name)


def writable(server: Server, operation: Operation, name: str) -> Collection:
    """The collection to write to."""
    transaction = of(server, operation)
    if transaction is not None:
        return transaction.collection(name, write=True)
    return server.database(operation).find(name)


def expire(server: Server) -> None:
    """Aborts transactions that nobody has used for a minute, and forgets old ones that have ended."""
    for transaction in server.transactions.values():
        if transaction.status == "running" and server.now() - transaction.used > _IDLE_SECONDS:
            transaction.status = "aborted"
            transaction.release()
    ended = [number for number, transaction in server.transactions.items() if transaction.status != "running"]
    for number in ended[:-_KEEP_FINISHED]:
        del server.transactions[number]


def _find(server: Server, number: str, database: Database) -> Transaction:
    expire(server)
    found = server.transactions.get(number)
    if found is None or found.database is not database:
        raise ArangoError(1655, f"transaction '{number}' not found")
    return found


def begin(server: Server, operation: Operation) -> Outcome:
    """POST /_api/transaction/begin."""
    database = server.database(operation)
    expire(server)
    body = parse(operation.body)
    collections = body.get("collections") if isinstance(body, dict) else None
    if not isinstance(collections, dict):
        raise ArangoError(10, "missing/invalid collections definition for transaction")
    names = {kind: _names(collections.get(kind)) for kind in ("read", "write", "exclusive")}
    resolved = {kind: frozenset(database.find(name).name for name in given) for kind, given in names.items()}
    transaction = Transaction(
        str(server.tick()),
        database,
        resolved["read"],
        resolved["write"] | resolved["exclusive"],
        bool(body.get("allowImplicit", True)),
        server.now(),
    )
    for name in sorted(transaction.readers):
        transaction.collection(name, write=False)
    for name in sorted(transaction.writers):
        transaction.collection(name, write=True)
    server.transactions[transaction.id] = transaction
    return _answer(201, transaction)


def _names(value: Any) -> list[str]:
    names = [value] if isinstance(value, str) else value or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ArangoError(10, "missing/invalid collections definition for transaction")
    return names


def status(server: Server, operation: Operation) -> Outcome:
    """GET /_api/transaction/{id}."""
    return _answer(200, _find(server, operation.path[2], server.database(operation)))


def commit(server: Server, operation: Operation) -> Outcome:
    """PUT /_api/transaction/{id}: what it wrote becomes visible at once. A second commit is no error."""
    transaction = _find(server, operation.path[2], server.database(operation))
    if transaction.status == "aborted":
        raise ArangoError(1653, "transaction was already aborted", status=400)
    if transaction.status == "running":
        apply(server, transaction)
    return _answer(200, transaction)


def apply(server: Server, transaction: Transaction) -> None:
    """Carries a transaction's writes over to the server's collections, as one transaction of the log."""
    database = transaction.database
    changes = [
        (origin, transaction.forks[name], keys)
        for name, keys in transaction.written.items()
        if (origin := database.collections.get(name)) is not None
    ]
    for origin, fork, keys in changes:
        for key in keys:
            if origin.locks.get(key) not in (None, transaction.id):
                raw = origin.get(key)
                raise ConflictError(key, revision_of(raw) if raw else "", precondition=False)
        fork.locks = {}
    undo: list[tuple[Collection, str, bytes | None]] = []
    server.log.begin(database.name, transaction.id)
    try:
        for origin, fork, keys in changes:
            for key in keys:
                raw, old = fork.get(key), origin.get(key)
                if raw is not None:
                    origin.put(key, raw, orjson.loads(raw), fork.revision)
                elif old is not None:
                    origin.remove(key, fork.revision)
                undo.append((origin, key, old))
    except ArangoError:  # a unique index that somebody else has filled meanwhile
        for origin, key, old in reversed(undo):
            writes.put_back(origin, key, old)
        raise
    finally:
        server.log.commit(database.name)
    transaction.status = "committed"
    transaction.release()


def abort(server: Server, operation: Operation) -> Outcome:
    """DELETE /_api/transaction/{id}; `/write` aborts all of the database."""
    database = server.database(operation)
    number = operation.path[2]
    if number == "write":
        for transaction in server.transactions.values():
            if transaction.database is database and transaction.status == "running" and transaction.writers:
                transaction.status = "aborted"
                transaction.release()
        return json_outcome(200, {"error": False, "code": 200})
    transaction = _find(server, number, database)
    if transaction.status == "committed":
        raise ArangoError(1653, "transaction was already committed", status=400)
    transaction.status = "aborted"
    transaction.release()
    return _answer(200, transaction)


def list_running(server: Server, operation: Operation) -> Outcome:
    """GET /_api/transaction."""
    database = server.database(operation)
    expire(server)
    running = [
        {"id": transaction.id, "state": transaction.status}
        for transaction in server.transactions.values()
        if transaction.database is database and transaction.status == "running"
    ]
    return json_outcome(200, {"transactions": running})


def _answer(code: int, transaction: Transaction) -> Outcome:
    result = {"id": transaction.id, "status": transaction.status}
    return json_outcome(code, {"code": code, "error": False, "result": result})


HANDLERS: Final[dict[str, Handler]] = {
    "transaction.begin": begin,
    "transaction.status": status,
    "transaction.commit": commit,
    "transaction.abort": abort,
    "transaction.list": list_running,
}
