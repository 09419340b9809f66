"""Stream transactions: private copies (forks) of collections, and the locks of the keys and values that they wrote.

A transaction sees a collection as it was when the transaction began, together with its own writes; no other request
sees those before the commit. One that was created later has no documents in it. Protocol page, section 5.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field

import orjson

from proxy.base.errors import ArangoError
from proxy.devserver.store.state.collection import Collection
from proxy.devserver.store.state.database import ServerDatabase
from proxy.devserver.store.state.indexes import StoredIndex
from proxy.devserver.store.state.locks import Locks, RemovedKeys


class TransactionStatus(enum.StrEnum):
    """Status of a transaction, by ArangoDB's names."""

    RUNNING = "running"
    COMMITTED = "committed"
    ABORTED = "aborted"


@dataclass(slots=True, eq=False)
class Transaction:
    """One stream transaction.

    readers, writers: declared collections; writers include those that it locks exclusively. implicit: it may read
    others. used: when a request last named it, in seconds since the epoch. released: called when its locks are gone.
    forks: by name of the collection; written: the keys that it wrote, by name. later: it has begun: a collection
    without a fork was created later.
    """

    id: str
    database: ServerDatabase
    readers: frozenset[str]
    writers: frozenset[str]
    exclusive: frozenset[str]
    implicit: bool
    used: float
    user: str
    released: Callable[[], None]
    status: TransactionStatus = TransactionStatus.RUNNING
    forks: dict[str, Collection] = field(default_factory=dict)
    written: dict[str, dict[str, None]] = field(default_factory=dict)
    later: bool = False

    @property
    def running(self) -> bool:
        return self.status is TransactionStatus.RUNNING

    def collection(self, name: str, *, write: bool) -> Collection:
        """Return this transaction's copy of a collection. Raise ArangoError 1203, 1652."""
        shared = self.database.find(name)
        self.check_declared(shared.name, write=write)
        fork = self.forks.get(shared.name)
        if fork is None:
            fork = shared.fork(self._lock)
            if self.later:
                fork.clear()
            fork.locks, fork.exclusive = ForkLocks(self.id, shared, fork), None
            self.forks[shared.name] = fork
        return fork

    def check_declared(self, name: str, *, write: bool) -> None:
        """Raise ArangoError 1652 if it may not read or write a collection."""
        declared = name in self.writers or (name in self.readers and not write)
        if not declared and (write or not self.implicit):
            raise ArangoError(
                1652, f"unregistered collection used in transaction: {name} [{'write' if write else 'read'}]"
            )

    def end(self, status: TransactionStatus) -> None:
        """Release its locks, and let those that wait for them try again."""
        self.status = status
        for name, keys in self.written.items():
            shared = self.database.collections.get(name)
            if shared is not None:
                shared.locks.release(self.id, keys)
        for collection in self.database.collections.values():
            if collection.exclusive == self.id:
                collection.exclusive = None
        self.forks.clear()
        self.released()

    def _lock(self, fork: Collection, key: str, raw: bytes | None, old: bytes | None) -> None:
        """Lock what a write to a fork touches: the key, and the values that unique indexes gain and lose."""
        self.written.setdefault(fork.name, {})[key] = None
        locks = self.database.find(fork.name).locks
        locks[key] = self.id
        for index in fork.uniques:
            for document in (raw, old):
                if document is not None:
                    values = index.values(orjson.loads(document))
                    locks.claims.update(dict.fromkeys(((index.id, value) for value in values), self.id))


class ForkLocks(Locks):
    """The locks of a fork: a key is locked if another transaction has it, or if it has changed since the fork was made.

    A change since then cannot be waited out: `held` and `claim_held` are False for it. A document that was inserted and
    removed since is a change too: RocksDB compares the sequence number of the key's last write.
    """

    def __init__(self, transaction: str, shared: Collection, fork: Collection) -> None:
        super().__init__()
        self._transaction = transaction
        self._shared = shared
        self._snapshot = dict(fork.documents)
        self._removed = RemovedKeys()
        shared.locks.removed.add(self._removed)
        self._entries = {index.id: dict(index.entries) for index in fork.uniques}

    def __bool__(self) -> bool:
        return True

    def __contains__(self, key: object) -> bool:
        if not isinstance(key, str):
            return False
        holder = self._shared.locks.get(key)
        if holder is not None:
            return holder != self._transaction
        return key in self._removed.keys or self._shared.documents.get(key) != self._snapshot.get(key)

    def held(self, key: object) -> bool:
        holder = self._shared.locks.get(key) if isinstance(key, str) else None
        return holder is not None and holder != self._transaction

    def claimed(self, index: StoredIndex, value: bytes) -> bool:
        holder = self._shared.locks.claims.get((index.id, value))
        if holder is not None:
            return holder != self._transaction
        now = next((one.entries for one in self._shared.uniques if one.id == index.id), {})
        return now.get(value) != self._entries.get(index.id, {}).get(value)

    def claim_held(self, index: StoredIndex, value: bytes) -> bool:
        return self._shared.locks.claims.get((index.id, value), self._transaction) != self._transaction
