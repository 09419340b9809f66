"""Locks of running stream transactions, and the errors of requests that meet one."""

from __future__ import annotations

from collections.abc import Iterable
from weakref import WeakSet

from proxy.base.errors import STATUS
from proxy.devserver.store.state.indexes import StoredIndex
from proxy.semantics.write_rules import KEY_WAIT, ConflictError


class LockedError(ConflictError):
    """A running transaction has the key, or the whole collection. Nothing has been written; a retry may succeed.

    seconds: how long ArangoDB waits for the lock before it gives up.
    """

    def __init__(self, key: str, rev: str, *, message: str, seconds: float = KEY_WAIT, number: int = 1200) -> None:
        super().__init__(key, rev, precondition=False, message=message)
        self.seconds = seconds
        if number != self.number:
            self.number, self.status = number, STATUS[number]


def exclusive_error(name: str, seconds: float) -> LockedError:
    """Return the error for a collection that one transaction has locked."""
    message = f"timeout waiting to acquire lock on collection '{name}'"
    return LockedError("", "", message=message, seconds=seconds, number=18)


class RemovedKeys:
    """Keys whose documents were removed since a transaction has begun."""

    def __init__(self) -> None:
        self.keys: set[str] = set()


class Locks(dict[str, str]):
    """Key -> the running stream transaction that wrote it. `key in locks`: no other request may write it now.

    claims: the same for values of unique indexes, by (index, encoded value): those that a running transaction has
    written, and those that it has removed. removed: sets of running transactions, each of which learns of removals.
    """

    def __init__(self) -> None:
        super().__init__()
        self.claims: dict[tuple[str, bytes], str] = {}
        self.removed: WeakSet[RemovedKeys] = WeakSet()

    def note_removed(self, key: str) -> None:
        """Let transactions that have begun know that a document was removed since."""
        for since in self.removed:
            since.keys.add(key)

    def held(self, key: object) -> bool:
        """Return True if waiting can help: a running transaction has the key, and will release it."""
        return isinstance(key, str) and key in self

    def claimed(self, index: StoredIndex, value: bytes) -> bool:
        """Return True if another transaction has written that value of a unique index."""
        return (index.id, value) in self.claims

    def claim_held(self, index: StoredIndex, value: bytes) -> bool:
        """Return True if waiting can help with a claimed value."""
        return (index.id, value) in self.claims

    def release(self, transaction: str, keys: Iterable[str]) -> None:
        """Release those keys, and every value, that the transaction has locked."""
        for key in keys:
            if self.get(key) == transaction:
                del self[key]
        self.claims = {claim: holder for claim, holder in self.claims.items() if holder != transaction}
