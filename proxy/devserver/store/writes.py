"""Writing one document: what every way of writing has in common (document API, import, AQL, graphs, simple queries).

Rules: protocol page, section 2. Functions take a collection (or a transaction's fork of it), change it, and tell what
they did; they know nothing of HTTP.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any, Final

from proxy.base.errors import STATUS, ArangoError
from proxy.devserver.store.collection import Collection, revision_of
from proxy.devserver.store.schema import check_schema
from proxy.model import json_reader
from proxy.model.documents import Merging, assemble, merge
from proxy.model.json_values import dump
from proxy.model.revision import decode_rev, encode_rev

Document = dict[str, Any]
_MERGE: Final = Merging()
KEY_WAIT: Final = 1.0  # seconds that ArangoDB waits for a key (since 3.11)
_NO_MATCH: Final = "conflict, _rev values do not match"


class Mode(enum.Enum):
    """overwriteMode: what an insert does where the key exists."""

    CONFLICT = "conflict"
    IGNORE = "ignore"
    REPLACE = "replace"
    UPDATE = "update"


@dataclass(frozen=True, slots=True)
class WriteRules:
    """How to write. expected: the revision that the stored document must have (If-Match); None: any.

    body_revision: a `_rev` in the body must match too (ignoreRevs=false). restore: keep the body's `_rev` (isRestore).
    """

    mode: Mode = Mode.CONFLICT
    merging: Merging = _MERGE
    expected: str | None = None
    body_revision: bool = False
    version_attribute: str = ""
    restore: bool = False
    skip_validation: bool = False


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What a write did. `rev`: of the new version, or of the one that was removed. changed: False for a no-op."""

    key: str
    rev: str
    old_rev: str | None = None
    old: bytes | None = None
    new: bytes | None = None
    changed: bool = True


class ConflictError(ArangoError):
    """Another revision than the one expected, or a document that a running transaction has written."""

    def __init__(self, key: str, rev: str, *, precondition: bool, message: str = _NO_MATCH) -> None:
        super().__init__(1200, message, status=412 if precondition else 409)
        self.key = key
        self.rev = rev


class LockedError(ConflictError):
    """A running transaction has the key, or the whole collection. Nothing has been written: to try again may help.

    seconds: how long ArangoDB waits for the lock before it gives up.
    """

    def __init__(self, key: str, rev: str, *, message: str, seconds: float = KEY_WAIT, number: int = 1200) -> None:
        super().__init__(key, rev, precondition=False, message=message)
        self.seconds = seconds
        if number != self.number:
            self.number, self.status = number, STATUS[number]


def exclusive_error(name: str, seconds: float) -> LockedError:
    """The collection belongs to one transaction alone."""
    message = f"timeout waiting to acquire lock on collection '{name}'"
    return LockedError("", "", message=message, seconds=seconds, number=18)


PLAIN: Final = WriteRules()


def insert(collection: Collection, body: object, rules: WriteRules = PLAIN) -> WriteResult:
    """Inserts a document, or does what the mode says where its key exists."""
    if not isinstance(body, dict):
        raise ArangoError(1227)
    if "_key" in body:
        key = collection.generator.check(body["_key"], restore=rules.restore)
        old = collection.get(key)
    else:
        if rules.restore:
            raise ArangoError(1221)
        key = collection.generator.make()
        old = None
    if old is None:
        return _store(collection, key, None, body, rules)
    check_unlocked(collection, key)
    if rules.mode is Mode.IGNORE:
        return WriteResult(key, revision_of(old), changed=False)
    if rules.mode is Mode.REPLACE:
        return _replace(collection, key, old, body, rules)
    if rules.mode is Mode.UPDATE:
        return _update(collection, key, old, body, rules)
    raise ArangoError(
        1210, f"unique constraint violated - in index primary of type primary over '_key'; conflicting key: {key}"
    )


def replace(collection: Collection, key: str, body: object, rules: WriteRules = PLAIN) -> WriteResult:
    """PUT: a new body under the same key. Raises ArangoError 1202, 1227, 1233, ConflictError."""
    if not isinstance(body, dict):
        raise ArangoError(1227)
    old = _existing(collection, key, body, rules)
    return _replace(collection, key, old, body, rules)


def update(collection: Collection, key: str, patch: object, rules: WriteRules = PLAIN) -> WriteResult:
    """PATCH: merges into the stored document. An empty patch changes nothing, not even the revision."""
    if not isinstance(patch, dict):
        raise ArangoError(1227)
    old = _existing(collection, key, patch, rules)
    return _update(collection, key, old, patch, rules)


def remove(collection: Collection, key: str, body: Document | None = None, rules: WriteRules = PLAIN) -> WriteResult:
    """DELETE: `rev` and `old` of what it tells are those of the removed version."""
    old = _existing(collection, key, body or {}, rules)
    rev = revision_of(old)
    collection.remove(key, collection.clock.tick())
    return WriteResult(key, rev, old=old)


def put_back(collection: Collection, key: str, old: bytes | None) -> None:
    """Undoes a write: the document is again what it was. Changes that never became visible leave no trace but ticks."""
    if old is not None:
        collection.put(key, old, json_reader.load(old), collection.clock.tick())
    elif collection.get(key) is not None:
        collection.remove(key, collection.clock.tick())


def _existing(collection: Collection, key: str, body: Document, rules: WriteRules) -> bytes:
    old = collection.get(key)
    if old is None:
        raise ArangoError(1202)
    if collection.locks and key in collection.locks:
        raise _locked(collection, key, old)
    expected = rules.expected
    precondition = expected is not None
    if expected is None and rules.body_revision:
        expected = body.get("_rev")
        precondition = True
    if isinstance(expected, str):
        rev = revision_of(old)
        if rev != expected and decode_rev(rev) != decode_rev(expected):
            raise ConflictError(key, rev, precondition=precondition)
    return old


def _locked(collection: Collection, key: str, old: bytes | None) -> ConflictError:
    rev = revision_of(old) if old else ""
    message = f"timeout waiting to lock key - in index primary of type primary over '_key'; conflicting key: {key}"
    if collection.locks.held(key):
        return LockedError(key, rev, message=message)
    return ConflictError(key, rev, precondition=False, message=message)


def _check_claims(collection: Collection, key: str, document: Document) -> None:
    """What a transaction has written into a unique index is locked like a key. Raises ConflictError, LockedError."""
    for index in collection.uniques:
        for value in index.values(document):
            if collection.locks.claimed(index, value):
                where = f"in index {index.name} of type {index.kind} over '{', '.join(index.fields)}'"
                message = f"timeout waiting to lock key - {where}; conflicting key: {key}"
                if collection.locks.claim_held(index, value):
                    raise LockedError(key, "", message=message)
                raise ConflictError(key, "", precondition=False, message=message)


def check_unlocked(collection: Collection, key: str) -> None:
    """Raises ConflictError, LockedError where somebody else has written the key."""
    if collection.locks and key in collection.locks:
        raise _locked(collection, key, collection.get(key))


def _replace(collection: Collection, key: str, old: bytes, body: Document, rules: WriteRules) -> WriteResult:
    if _version_kept(old, body, rules):
        return _unchanged(key, old)
    return _store(collection, key, old, body, rules)


def _update(collection: Collection, key: str, old: bytes, patch: Document, rules: WriteRules) -> WriteResult:
    if _version_kept(old, patch, rules):
        return _unchanged(key, old)
    merged = merge(json_reader.load(old), patch, rules.merging, edge=collection.edge)
    if merged is None:
        return _unchanged(key, old)
    if rules.restore:
        merged["_rev"] = patch.get("_rev")
    return _store(collection, key, old, merged, rules)


def _unchanged(key: str, old: bytes) -> WriteResult:
    rev = revision_of(old)
    return WriteResult(key, rev, rev, old, old, changed=False)


def _version_kept(old: bytes, body: Document, rules: WriteRules) -> bool:
    """versionAttribute: a version that is not above the stored one is a silent no-op."""
    if not rules.version_attribute:
        return False
    mine = _version(body.get(rules.version_attribute))
    stored = _version(json_reader.load(old).get(rules.version_attribute))
    return mine is not None and stored is not None and mine <= stored


def _version(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float) and 0 <= value < 1 << 64:
        return int(value)
    if isinstance(value, str) and value.isdigit():
        return int(value)
    return None


def _store(collection: Collection, key: str, old: bytes | None, body: Document, rules: WriteRules) -> WriteResult:
    if collection.locks and key in collection.locks:
        raise _locked(collection, key, old)
    revision = collection.clock.tick()
    if rules.restore and isinstance(body.get("_rev"), str):
        rev = body["_rev"]
    else:
        rev = encode_rev(revision)
    document = assemble(collection.name, key, rev, body, edge=collection.edge)
    if collection.schema and not rules.skip_validation:
        check_schema(collection.schema, document, None if old is None else json_reader.load(old))
    if collection.locks:
        _check_claims(collection, key, document)
    raw = dump(document)
    collection.put(key, raw, document, revision)
    return WriteResult(key, rev, None if old is None else revision_of(old), old, raw)


def undone(undo: list[tuple[Collection, WriteResult]]) -> None:
    """Takes writes back, the last one first: what a request wrote that failed as a whole."""
    for collection, written in reversed(undo):
        if written.changed:
            put_back(collection, written.key, written.old)
