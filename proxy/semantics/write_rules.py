"""The result of a write for one document: the decision alone, without a store.

Input: the stored document, the request's body, the rules. Output: the new document, or None for a write that changes
nothing, or the error that ArangoDB answers. Rules: protocol page, section 2.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from proxy.base.errors import ArangoError
from proxy.model import json_reader
from proxy.model.documents import Merging, assemble, assembled_text, merge
from proxy.model.json_values import dump
from proxy.model.revision import decode_rev, encode_rev
from proxy.semantics.computed_values import with_computed
from proxy.semantics.encoded_document import revision_of
from proxy.semantics.schema import check_schema

Document = dict[str, Any]
_MERGE: Final = Merging()
KEY_WAIT: Final = 1.0  # seconds that ArangoDB waits for a key that another write has (since 3.11)
_NO_MATCH: Final = "conflict, _rev values do not match"


class Mode(enum.Enum):
    """overwriteMode: what an insert does if the key exists."""

    CONFLICT = "conflict"
    IGNORE = "ignore"
    REPLACE = "replace"
    UPDATE = "update"


class Event(enum.Enum):
    """What a write does to a document: computed values depend on it."""

    INSERT = "insert"
    UPDATE = "update"
    REPLACE = "replace"


@dataclass(frozen=True, slots=True)
class WriteRules:
    """Options of a write. expected: the revision that the stored document must have (If-Match); None: any.

    body_revision: a `_rev` in the body must match too (ignoreRevs=false). restore: keep the body's `_rev` (isRestore).
    """

    mode: Mode = Mode.CONFLICT
    merging: Merging = _MERGE
    expected: str | None = None
    body_revision: bool = False
    version_attribute: str = ""
    restore: bool = False
    skip_validation: bool = False


PLAIN: Final = WriteRules()


class CollectionRules(msgspec.Struct, frozen=True, gc=False):
    """The rules of a collection for its documents."""

    name: str
    edge: bool
    schema: Document | None
    computed: Sequence[Document] | None = None


class NewVersion(msgspec.Struct, frozen=True, gc=False):
    """A version to store: `raw` is the encoded `document`."""

    rev: str
    document: Document
    raw: bytes


class WriteResult(msgspec.Struct, frozen=True, gc=False):
    """The result of a write. rev: of the new version, or of the removed one. changed: False for a no-op."""

    key: str
    rev: str
    old_rev: str | None = None
    old: bytes | None = None
    new: bytes | None = None
    changed: bool = True


class ConflictError(ArangoError):
    """The stored revision is not the expected one, or a running transaction has written the document."""

    def __init__(self, key: str, rev: str, *, precondition: bool, message: str = _NO_MATCH) -> None:
        super().__init__(1200, message, status=412 if precondition else 409)
        self.key = key
        self.rev = rev


def require_object(body: object) -> Document:
    """Return a body that is an object. Raise ArangoError 1227."""
    if not isinstance(body, dict):
        raise ArangoError(1227)
    return body


def unchanged(key: str, stored: bytes, *, ignored: bool = False) -> WriteResult:
    """Return the result of a write that changes nothing. ignored: by overwriteMode, which shows no old version."""
    rev = revision_of(stored)
    if ignored:
        return WriteResult(key, rev, changed=False)
    return WriteResult(key, rev, rev, stored, stored, changed=False)


def check_revision(key: str, stored: bytes, body: Document, rules: WriteRules) -> None:
    """Raise ConflictError if the stored revision is not the one that the header, or else the body, expects."""
    expected = rules.expected
    precondition = expected is not None
    if expected is None and rules.body_revision:
        expected = body.get("_rev")
        precondition = True
    if isinstance(expected, str):
        rev = revision_of(stored)
        if rev != expected and decode_rev(rev) != decode_rev(expected):
            raise ConflictError(key, rev, precondition=precondition)


def overwritten(
    key: str, stored: bytes, body: Document, rules: WriteRules, *, edge: bool, computes: bool = False
) -> Document | None:
    """Return what an insert makes of a document that exists already; None if nothing.

    Raise ArangoError 1210 for mode `conflict`.
    """
    if rules.mode is Mode.REPLACE:
        return replaced(stored, body, rules)
    if rules.mode is Mode.UPDATE:
        return updated(stored, body, rules, edge=edge, computes=computes)
    if rules.mode is Mode.IGNORE:
        return None
    raise ArangoError(
        1210, f"unique constraint violated - in index primary of type primary over '_key'; conflicting key: {key}"
    )


def replaced(stored: bytes, body: Document, rules: WriteRules) -> Document | None:
    """Return the body of a PUT; None if versionAttribute makes it a no-op."""
    return None if _version_kept(stored, body, rules) else body


def updated(
    stored: bytes, patch: Document, rules: WriteRules, *, edge: bool, computes: bool = False
) -> Document | None:
    """Return the stored document with a patch merged into it; None if that changes nothing.

    computes: an update computes values, so that an empty patch may change something.
    """
    if _version_kept(stored, patch, rules):
        return None
    document = json_reader.load(stored)
    merged = merge(document, patch, rules.merging, edge=edge)
    if merged is None and computes:
        merged = document
    if merged is not None and rules.restore:
        merged["_rev"] = patch.get("_rev")
    return merged


def new_version(
    collection: CollectionRules,
    key: str,
    revision: int,
    body: Document,
    stored: bytes | None,
    rules: WriteRules,
    event: Event,
    text: bytes = b"",
) -> NewVersion:
    """Return the version to store. text: that of the body as ArangoDB prints it, if it is known.

    Raise ArangoError 1233 for an edge without ends, 1620 if the schema forbids it, or that of a computed value.
    """
    given = body.get("_rev") if rules.restore else None
    rev = given if isinstance(given, str) else encode_rev(revision)
    document = assemble(collection.name, key, rev, body, edge=collection.edge)
    if collection.computed:
        document = with_computed(collection.computed, collection.name, event.value, document)
    if collection.schema and not rules.skip_validation:
        check_schema(collection.schema, document, None if stored is None else json_reader.load(stored))
    plain = text and not collection.edge and not collection.computed
    raw = assembled_text(collection.name, key, rev, body, text) if plain else None
    return NewVersion(rev, document, raw or dump(document))


def _version_kept(stored: bytes, body: Document, rules: WriteRules) -> bool:
    """Return True if versionAttribute forbids the write: its version is not above the stored one."""
    if not rules.version_attribute:
        return False
    mine = _version(body.get(rules.version_attribute))
    theirs = _version(json_reader.load(stored).get(rules.version_attribute))
    return mine is not None and theirs is not None and mine <= theirs


def _version(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float) and 0 <= value < 1 << 64:
        return int(value)
    if isinstance(value, str) and value.isdigit():
        return int(value)
    return None
