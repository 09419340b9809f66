"""The documents that a write met, as far as ArangoDB's answer shows them, and what must be looked up. Pure.

The answer shows a replaced or removed document itself (`old`), that an inserted key was free, and the revision of a
document that is not the expected one. What it does not show is read afterwards. A document that is read from ArangoDB
after the answer was met if it is known that this version was committed before the write was sent. That a document is
absent afterwards proves only that it is absent now; unless the answer itself says more, or PostgreSQL, once all mirrors
have caught up, has the tombstone of a removal that was answered before. (That it has no row proves nothing: a document
may be gone before the mirror has read it.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from proxy.model.documents import valid_key
from proxy.model.json_values import within_quotes
from proxy.model.revision import decode_rev
from proxy.rehearsal.observed import CONFLICT, NOT_FOUND, AnsweredDocument, ObservedWrite
from proxy.semantics.document_writes import DocumentAction, DocumentWriteRequest, Target
from proxy.semantics.write_rules import Mode

CHANGED: Final = "the document has changed since"
GONE: Final = "the document is gone since"
NAMED_VERSION: Final = "the version that it met is not there any more"


class StoredVersion(msgspec.Struct, frozen=True, gc=False):
    """A document that was looked up. raw: None if there is none. rev: of a tombstone too; 0 if there is no row."""

    raw: bytes | None
    rev: int = 0


@dataclass(slots=True)
class MetDocuments:
    """What one write met. rows: documents that are known, by key; None: there was none.

    vague: those of `rows` of which only existence, or the revision, is known. wanted: keys to look up. revisions: that
    a looked-up document must have. unless_present: keys without a document, if they have none now. holders: keys that
    must have had one.
    """

    rows: dict[str, bytes | None] = field(default_factory=dict)
    vague: set[str] = field(default_factory=set)
    wanted: dict[str, None] = field(default_factory=dict)
    revisions: dict[str, int] = field(default_factory=dict)
    unless_present: set[str] = field(default_factory=set)
    holders: set[str] = field(default_factory=set)

    def lookups(self) -> tuple[str, ...]:
        """Return the keys whose documents are not known."""
        return tuple(key for key in self.wanted if valid_key(key))

    def with_found(self, found: Mapping[str, StoredVersion], floor: int) -> dict[str, bytes | None]:
        """Return the documents with those of PostgreSQL, which may be late: enough for equality, not for a difference.

        A document that was written after the floor is left out.
        """
        rows = dict(self.rows)
        for key, version in found.items():
            if version.raw is None or self._is_met(key, version, floor):
                rows[key] = version.raw
        return rows

    def proven(
        self, found: Mapping[str, StoredVersion], known: Callable[[str, int], bool], absent: Iterable[str]
    ) -> dict[str, bytes | None] | str:
        """Return the documents with those of ArangoDB, read after the answer; or why they prove nothing.

        known: of a key and a revision, whether that version was committed before the write was sent. absent: the keys
        that are known to have had no document then, and ever since.
        """
        rows = dict(self.rows)
        for key, version in found.items():
            if version.raw is None and (key in self.holders or key not in (self.unless_present | set(absent))):
                return GONE
            named = self.revisions.get(key)
            met = version.rev == named if named is not None else known(key, version.rev)
            if version.raw is not None and not met:
                if key in self.unless_present:  # it was made since
                    rows[key] = None
                    continue
                return CHANGED if named is None else NAMED_VERSION
            rows[key] = version.raw
        return rows

    def _is_met(self, key: str, version: StoredVersion, floor: int) -> bool:
        named = self.revisions.get(key)
        return version.rev == named if named is not None else version.rev <= floor


def met_by(
    write: ObservedWrite, request: DocumentWriteRequest, targets: Sequence[Target], answered: Sequence[AnsweredDocument]
) -> MetDocuments:
    """Return what a write met. targets: the key of each document by the rules, or the error that refuses it."""
    met = MetDocuments()
    for position, answer in enumerate(answered):
        target = targets[position] if position < len(targets) else None
        key = answer.key or answer.exists or (target if isinstance(target, str) else "")
        if key and key not in met.rows:  # what was refused before has changed nothing
            _learn(met, write, request, key, answer)
        if answer.holder and answer.holder not in met.rows:
            met.wanted[answer.holder] = None
            met.holders.add(answer.holder)
    return met


def _learn(
    met: MetDocuments, write: ObservedWrite, request: DocumentWriteRequest, key: str, answer: AnsweredDocument
) -> None:
    """Take note of what an answer that concerns a key says of the document before."""
    if answer.exists:
        _vague(met, write, key, "")
    elif answer.refused and answer.number == CONFLICT and answer.rev:
        _vague(met, write, key, answer.rev)
    elif answer.refused:
        met.wanted[key] = None
        inserts = request.kind is DocumentAction.INSERT and request.rules.mode is Mode.CONFLICT
        if answer.number == NOT_FOUND or inserts:
            met.unless_present.add(key)
    elif bytes(answer.old):
        met.rows[key] = bytes(answer.old)
        met.wanted.pop(key, None)
    elif request.kind is DocumentAction.INSERT and not answer.old_rev and bytes(answer.new):
        met.rows[key] = None
        met.wanted.pop(key, None)
    else:  # ignored, since it exists
        _vague(met, write, key, answer.old_rev or answer.rev)


def _vague(met: MetDocuments, write: ObservedWrite, key: str, rev: str) -> None:
    """Enter a document of which only existence, and perhaps the revision, is known."""
    met.rows[key] = placeholder(write, key, rev)
    met.wanted.pop(key, None)
    met.vague.add(key)
    if rev:
        met.revisions[key] = decode_rev(rev)


def placeholder(write: ObservedWrite, key: str, rev: str = "") -> bytes:
    """Return a document of which nothing is known but that it exists, and perhaps its revision."""
    return f'{{"_key":"{key}","_id":"{within_quotes(write.name)}/{key}","_rev":"{rev or "_"}"}}'.encode()
