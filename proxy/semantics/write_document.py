"""Write one document into a collection of either store.

Every way of writing comes here: the document API, imports, AQL, graphs, simple queries. `write_rules` decides; this
module checks locks, makes keys and revisions, and stores. It knows nothing of HTTP.
"""

from __future__ import annotations

from collections.abc import Sequence

from proxy.base.errors import ArangoError
from proxy.semantics import write_rules
from proxy.semantics.computed_values import computes_on
from proxy.semantics.encoded_document import revision_of
from proxy.semantics.key_generator import KeyGenerator
from proxy.semantics.writable import WritableCollection
from proxy.semantics.write_rules import PLAIN, CollectionRules, Document, Event, Mode, WriteResult, WriteRules


def insert(collection: WritableCollection, body: object, rules: WriteRules = PLAIN) -> WriteResult:
    """Insert a document, or do what the mode says if its key exists."""
    document = write_rules.require_object(body)
    return insert_as(collection, key_for(collection.generator, document, rules), document, rules)


def key_for(generator: KeyGenerator, document: Document, rules: WriteRules) -> str:
    """Return the key of a document to insert: its own, or else a new one. Raise ArangoError 1221, 1222, 1225."""
    if "_key" in document:
        return generator.check(document["_key"], restore=rules.restore)
    if rules.restore:
        raise ArangoError(1221)
    return generator.make()


def insert_as(
    collection: WritableCollection, key: str, document: Document, rules: WriteRules, text: bytes = b""
) -> WriteResult:
    """Insert a document whose key is decided, or do what the mode says if the key exists.

    text: the document as ArangoDB prints it, if that is known.
    """
    stored = collection.get(key)
    if stored is None:
        return _store(collection, key, None, document, rules, Event.INSERT, text)
    collection.check_unlocked(key)
    if rules.mode is Mode.IGNORE:
        return write_rules.unchanged(key, stored, ignored=True)
    computes = computes_on(collection.computed, Event.UPDATE.value)
    new = write_rules.overwritten(key, stored, document, rules, edge=collection.edge, computes=computes)
    event = Event.UPDATE if rules.mode is Mode.UPDATE else Event.REPLACE
    return _carry_out(collection, key, stored, new, rules, event)


def replace(collection: WritableCollection, key: str, body: object, rules: WriteRules = PLAIN) -> WriteResult:
    """Store a new body under the same key (PUT). Raise ArangoError 1202, 1227, 1233, ConflictError."""
    document = write_rules.require_object(body)
    stored = _stored(collection, key, document, rules)
    return _carry_out(collection, key, stored, write_rules.replaced(stored, document, rules), rules, Event.REPLACE)


def update(collection: WritableCollection, key: str, patch: object, rules: WriteRules = PLAIN) -> WriteResult:
    """Merge a patch into the stored document (PATCH). An empty patch changes nothing, not even the revision."""
    document = write_rules.require_object(patch)
    stored = _stored(collection, key, document, rules)
    computes = computes_on(collection.computed, Event.UPDATE.value)
    new = write_rules.updated(stored, document, rules, edge=collection.edge, computes=computes)
    return _carry_out(collection, key, stored, new, rules, Event.UPDATE)


def remove(
    collection: WritableCollection, key: str, body: Document | None = None, rules: WriteRules = PLAIN
) -> WriteResult:
    """Remove a document. `rev` and `old` of the result are those of the removed version."""
    stored = _stored(collection, key, body or {}, rules)
    collection.remove(key, collection.tick())
    return WriteResult(key, revision_of(stored), old=stored)


def undo_all(written: Sequence[tuple[WritableCollection, WriteResult]]) -> None:
    """Undo the writes of a request that failed as a whole, the last one first."""
    for collection, result in reversed(written):
        if result.changed:
            collection.put_back(result.key, result.old)


def _stored(collection: WritableCollection, key: str, body: Document, rules: WriteRules) -> bytes:
    """Return the stored document if the write may go ahead.

    Raise ArangoError 1202, ConflictError, also if another transaction has written the key.
    """
    stored = collection.get(key)
    if stored is None:
        raise ArangoError(1202)
    collection.check_unlocked(key)
    write_rules.check_revision(key, stored, body, rules)
    return stored


def _carry_out(
    collection: WritableCollection, key: str, stored: bytes, new: Document | None, rules: WriteRules, event: Event
) -> WriteResult:
    if new is None:
        return write_rules.unchanged(key, stored)
    return _store(collection, key, stored, new, rules, event)


def _store(
    collection: WritableCollection,
    key: str,
    stored: bytes | None,
    body: Document,
    rules: WriteRules,
    event: Event,
    text: bytes = b"",
) -> WriteResult:
    collection.check_unlocked(key)
    revision = collection.tick()
    asked = CollectionRules(collection.name, collection.edge, collection.schema, collection.computed)
    new = write_rules.new_version(asked, key, revision, body, stored, rules, event, text)
    collection.check_unclaimed(key, new.document)
    collection.put(key, new.raw, new.document, revision)
    return WriteResult(key, new.rev, None if stored is None else revision_of(stored), stored, new.raw)
