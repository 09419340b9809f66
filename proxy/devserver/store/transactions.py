"""Stream transactions: snapshots of collections, changed apart, applied at commit.

A transaction sees its collections as they were when it began (declared ones) or first used them, and its own writes;
nobody else sees those before the commit. A key that it wrote is locked: another writer waits a second for it (the store
does) and gets 1200 then. A collection that it has to itself (`exclusive`) is written by nobody else meanwhile.
Protocol page, section 5.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from proxy.base.errors import ArangoError
from proxy.devserver.store import access, writes
from proxy.devserver.store.collection import Collection, Locks, revision_of
from proxy.devserver.store.indexes import Index
from proxy.devserver.store.server import Database, Handler, Server
from proxy.devserver.store.writes import ConflictError, exclusive_error
from proxy.model import json_reader
from proxy.model.json_values import parse
from proxy.model.operations import Operation, Outcome
from proxy.wire.encode import json_outcome

_IDLE_SECONDS: Final = 60.0
LOCK_SECONDS: Final = 900.0  # lockTimeout, unless a request says another
_KEEP_FINISHED: Final = 1000


@dataclass(slots=True)
class Transaction:
    """One stream transaction. forks: by name of the collection; written: the keys that it wrote, by name."""

    id: str
    database: Database
    readers: frozenset[str]
    writers: frozenset[str]
    exclusive: frozenset[str]
    implicit: bool
    used: float
    user: str
    woken: Callable[[], None]  # called when its locks are gone
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
            fork.locks, fork.exclusive = _Locks(self, origin, fork), None
            self.forks[origin.name] = fork
        return fork

    def _seen(self, fork: Collection, key: str, raw: bytes | None, old: bytes | None) -> None:
        self.written.setdefault(fork.name, {})[key] = None
        locks = self.database.find(fork.name).locks
        locks[key] = self.id
        for index in fork.uniques:
            for document in (raw, old):
                if document is not None:
                    values = index.values(orjson.loads(document))
                    locks.claims.update(dict.fromkeys(((index.id, value) for value in values), self.id))

    def release(self) -> None:
        for name, keys in self.written.items():
            origin = self.database.collections.get(name)
            if origin is not None:
                for key in keys:
                    if origin.locks.get(key) == self.id:
                        del origin.locks[key]
                mine = [claim for claim, holder in origin.locks.claims.items() if holder == self.id]
                for claim in mine:
                    del origin.locks.claims[claim]
        for collection in self.database.collections.values():
            if collection.exclusive == self.id:
                collection.exclusive = None
        self.forks.clear()
        self.woken()


class _Locks(Locks):
    """What `key in collection.locks` means for a fork: somebody else has written the key since it was made."""

    def __init__(self, transaction: Transaction, origin: Collection, fork: Collection) -> None:
        super().__init__()
        self._transaction = transaction
        self._origin = origin
        self._snapshot = dict(fork.documents)
        self._entries = {index.id: dict(index.entries) for index in fork.uniques}

    def __bool__(self) -> bool:
        return True

    def __contains__(self, key: object) -> bool:
        if not isinstance(key, str):
            return False
        holder = self._origin.locks.get(key)
        if holder is not None:
            return holder != self._transaction.id
        return self._origin.documents.get(key) != self._snapshot.get(key)

    def held(self, key: object) -> bool:
        holder = self._origin.locks.get(key) if isinstance(key, str) else None
        return holder is not None and holder != self._transaction.id

    def claimed(self, index: Index, value: bytes) -> bool:
        holder = self._origin.locks.claims.get((index.id, value))
        if holder is not None:
            return holder != self._transaction.id
        now = next((one.entries for one in self._origin.uniques if one.id == index.id), {})
        return now.get(value) != self._entries.get(index.id, {}).get(value)

    def claim_held(self, index: Index, value: bytes) -> bool:
        return self._origin.locks.claims.get((index.id, value), self._transaction.id) != self._transaction.id


def of(server: Server, operation: Operation) -> Transaction | None:
    """The running transaction that a request belongs to. Raises ArangoError 1655, 1654."""
    headers = operation.headers
    number = headers.get("x-arango-trx-id") if headers else None
    if number is None:
        return None
    found = _find(server, operation, number)
    if found.status != "running":
        raise ArangoError(1654 if found.status == "aborted" else 1655, f"transaction '{number}' not found")
    found.used = server.now()
    return found


def readable(server: Server, operation: Operation, name: str) -> Collection:
    """The collection to read from: the server's, or the view of the request's transaction."""
    transaction = of(server, operation)
    if transaction is not None:
        found: Collection | None = transaction.collection(name, write=False)
    else:
        database = server.database(operation)
        found = database.collections.get(name)
        if found is None:
            found = database.find(name)
    assert found is not None
    if server.accounts.limited:
        access.collection(server, operation, found.name, write=False)
    return found


def writable(server: Server, operation: Operation, name: str) -> Collection:
    """The collection to write to."""
    transaction = of(server, operation)
    if server.accounts.limited:
        access.collection(server, operation, server.database(operation).find(name).name, write=True)
    if transaction is not None:
        return transaction.collection(name, write=True)
    found = server.database(operation).find(name)
    if found.exclusive is not None:
        raise exclusive_error(found.name, LOCK_SECONDS)
    return found


def alone(server: Server, operation: Operation, collection: Collection) -> None:
    """Who truncates wants the collection for itself. Raises LockedError where running transactions write it."""
    if of(server, operation) is not None:
        return
    database = server.database(operation)
    for other in server.transactions.values():
        if other.status == "running" and other.database is database and collection.name in other.writers:
            raise exclusive_error(collection.name, LOCK_SECONDS)


def expire(server: Server) -> None:
    """Aborts transactions that nobody has used for a minute, and forgets old ones that have ended."""
    for transaction in server.transactions.values():
        if transaction.status == "running" and server.now() - transaction.used > _IDLE_SECONDS:
            transaction.status = "aborted"
            transaction.release()
    ended = [number for number, transaction in server.transactions.items() if transaction.status != "running"]
    for number in ended[:-_KEEP_FINISHED]:
        del server.transactions[number]


def _find(server: Server, operation: Operation, number: str) -> Transaction:
    database = server.database(operation)
    expire(server)
    found = server.transactions.get(number)
    if found is None or found.database is not database or not _belongs(server, operation, found):
        raise ArangoError(1655, f"transaction '{number}' not found")
    return found


def _belongs(server: Server, operation: Operation, transaction: Transaction) -> bool:
    """Whether it is the asking user's: of others' transactions nobody but a superuser hears."""
    who = access.identity(server, operation)
    return who.superuser or who.user == transaction.user


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
    for name in sorted(resolved["read"] | resolved["write"] | resolved["exclusive"]):
        if server.accounts.limited:
            access.collection(server, operation, name, write=name not in resolved["read"])
    _acquire(server, database, resolved, _lock_seconds(body))
    transaction = Transaction(
        str(server.tick()),
        database,
        resolved["read"],
        resolved["write"] | resolved["exclusive"],
        resolved["exclusive"],
        bool(body.get("allowImplicit", True)),
        server.now(),
        access.identity(server, operation).user,
        server.wake,
    )
    for name in sorted(transaction.readers):
        transaction.collection(name, write=False)
    for name in sorted(transaction.writers):
        transaction.collection(name, write=True)
    for name in transaction.exclusive:
        database.find(name).exclusive = transaction.id
    server.transactions[transaction.id] = transaction
    return _answer(201, transaction)


def _lock_seconds(body: dict[str, Any]) -> float:
    seconds = body.get("lockTimeout", LOCK_SECONDS)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds < 0:
        raise ArangoError(10, "expecting positive value for 'lockTimeout'")
    return float(seconds) or LOCK_SECONDS


def _acquire(server: Server, database: Database, wanted: dict[str, frozenset[str]], seconds: float) -> None:
    """Whoever wants a collection for itself waits for all that write it, and the other way round."""
    for other in server.transactions.values():
        if other.status == "running" and other.database is database:
            clash = (wanted["exclusive"] & other.writers) | (wanted["write"] & other.exclusive)
            if clash:
                raise exclusive_error(min(clash), seconds)


def _names(value: Any) -> list[str]:
    names = [value] if isinstance(value, str) else value or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ArangoError(10, "missing/invalid collections definition for transaction")
    return names


def status(server: Server, operation: Operation) -> Outcome:
    """GET /_api/transaction/{id}."""
    return _answer(200, _find(server, operation, operation.path[2]))


def commit(server: Server, operation: Operation) -> Outcome:
    """PUT /_api/transaction/{id}: what it wrote becomes visible at once. A second commit is no error."""
    transaction = _find(server, operation, operation.path[2])
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
        fork.locks = Locks()
    undo: list[tuple[Collection, str, bytes | None]] = []
    server.log.begin(database.name, transaction.id)
    try:
        for origin, fork, keys in changes:
            for key in keys:
                raw, old = fork.get(key), origin.get(key)
                if raw is not None:
                    origin.put(key, raw, json_reader.load(raw), fork.revision)
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
            mine = transaction.database is database and _belongs(server, operation, transaction)
            if mine and transaction.status == "running" and transaction.writers:
                transaction.status = "aborted"
                transaction.release()
        return json_outcome(200, {"error": False, "code": 200})
    transaction = _find(server, operation, number)
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
        if transaction.database is database
        and transaction.status == "running"
        and _belongs(server, operation, transaction)
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
