"""Write one document into a collection, or into a transaction's copy of it.

Every way of writing comes here: the document API, imports, AQL, graphs, simple queries. `write_rules` decides; this
module checks locks, makes keys and revisions, and stores. It knows nothing of HTTP.
"""

from __future__ import annotations

from typing import Final

from proxy.base.errors import STATUS, ArangoError
from proxy.devserver.store import write_rules
from proxy.devserver.store.encoded_document import revision_of
from proxy.devserver.store.state.collection import Collection
from proxy.devserver.store.write_rules import (
    PLAIN,
    CollectionRules,
    ConflictError,
    Document,
    Mode,
    WriteResult,
    WriteRules,
)
from proxy.model import json_reader

KEY_WAIT: Final = 1.0  # seconds that ArangoDB waits for a key (since 3.11)


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


def insert(collection: Collection, body: object, rules: WriteRules = PLAIN) -> WriteResult:
    """Insert a document, or do what the mode says if its key exists."""
    document = write_rules.require_object(body)
    if "_key" in document:
        key = collection.generator.check(document["_key"], restore=rules.restore)
        stored = collection.get(key)
    else:
        if rules.restore:
            raise ArangoError(1221)
        key = collection.generator.make()
        stored = None
    if stored is None:
        return _store(collection, key, None, document, rules)
    check_unlocked(collection, key)
    if rules.mode is Mode.IGNORE:
        return write_rules.unchanged(key, stored, ignored=True)
    new = write_rules.overwritten(key, stored, document, rules, edge=collection.edge)
    return _carry_out(collection, key, stored, new, rules)


def replace(collection: Collection, key: str, body: object, rules: WriteRules = PLAIN) -> WriteResult:
    """Store a new body under the same key (PUT). Raise ArangoError 1202, 1227, 1233, ConflictError."""
    document = write_rules.require_object(body)
    stored = _stored(collection, key, document, rules)
    return _carry_out(collection, key, stored, write_rules.replaced(stored, document, rules), rules)


def update(collection: Collection, key: str, patch: object, rules: WriteRules = PLAIN) -> WriteResult:
    """Merge a patch into the stored document (PATCH). An empty patch changes nothing, not even the revision."""
    document = write_rules.require_object(patch)
    stored = _stored(collection, key, document, rules)
    new = write_rules.updated(stored, document, rules, edge=collection.edge)
    return _carry_out(collection, key, stored, new, rules)


def remove(collection: Collection, key: str, body: Document | None = None, rules: WriteRules = PLAIN) -> WriteResult:
    """Remove a document. `rev` and `old` of the result are those of the removed version."""
    stored = _stored(collection, key, body or {}, rules)
    collection.remove(key, collection.clock.tick())
    return WriteResult(key, revision_of(stored), old=stored)


def put_back(collection: Collection, key: str, old: bytes | None) -> None:
    """Undo a write: restore the document, with its revision, or remove it if there was none."""
    if old is not None:
        collection.put(key, old, json_reader.load(old), collection.clock.tick())
    elif collection.get(key) is not None:
        collection.remove(key, collection.clock.tick())


def undo_all(written: list[tuple[Collection, WriteResult]]) -> None:
    """Undo the writes of a request that failed as a whole, the last one first."""
    for collection, result in reversed(written):
        if result.changed:
            put_back(collection, result.key, result.old)


def check_unlocked(collection: Collection, key: str) -> None:
    """Raise ConflictError or LockedError if another transaction has written the key."""
    if collection.locks and key in collection.locks:
        raise _locked(collection, key, collection.get(key))


def _stored(collection: Collection, key: str, body: Document, rules: WriteRules) -> bytes:
    """Return the stored document if the write may go ahead. Raise ArangoError 1202, ConflictError, LockedError."""
    stored = collection.get(key)
    if stored is None:
        raise ArangoError(1202)
    check_unlocked(collection, key)
    write_rules.check_revision(key, stored, body, rules)
    return stored


def _carry_out(collection: Collection, key: str, stored: bytes, new: Document | None, rules: WriteRules) -> WriteResult:
    if new is None:
        return write_rules.unchanged(key, stored)
    return _store(collection, key, stored, new, rules)


def _store(collection: Collection, key: str, stored: bytes | None, body: Document, rules: WriteRules) -> WriteResult:
    if collection.locks and key in collection.locks:
        raise _locked(collection, key, stored)
    revision = collection.clock.tick()
    asked = CollectionRules(collection.name, collection.edge, collection.schema)
    new = write_rules.new_version(asked, key, revision, body, stored, rules)
    if collection.locks:
        _check_claims(collection, key, new.document)
    collection.put(key, new.raw, new.document, revision)
    return WriteResult(key, new.rev, None if stored is None else revision_of(stored), stored, new.raw)


def _locked(collection: Collection, key: str, stored: bytes | None) -> ConflictError:
    rev = revision_of(stored) if stored else ""
    message = f"timeout waiting to lock key - in index primary of type primary over '_key'; conflicting key: {key}"
    if collection.locks.held(key):
        return LockedError(key, rev, message=message)
    return ConflictError(key, rev, precondition=False, message=message)


def _check_claims(collection: Collection, key: str, document: Document) -> None:
    """Raise ConflictError or LockedError if a transaction has written the document's value of a unique index."""
    for index in collection.uniques:
        for value in index.values(document):
            if collection.locks.claimed(index, value):
                where = f"in index {index.name} of type {index.kind} over '{', '.join(index.fields)}'"
                message = f"timeout waiting to lock key - {where}; conflicting key: {key}"
                if collection.locks.claim_held(index, value):
                    raise LockedError(key, "", message=message)
                raise ConflictError(key, "", precondition=False, message=message)
