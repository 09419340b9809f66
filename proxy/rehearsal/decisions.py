"""What the rules make of a write of documents, given the documents that it met. Pure.

ArangoDB's answer gives what a server chooses freely: keys that it makes, and new revisions. Everything else is decided.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from proxy.base.errors import ArangoError
from proxy.model.operations import Outcome
from proxy.model.revision import decode_rev
from proxy.rehearsal.observed import AnsweredDocument, ObservedWrite
from proxy.semantics.document_writes import DocumentAction, DocumentWriteRequest, PreparedWrite, Target
from proxy.semantics.key_generator import KeyGenerator
from proxy.stores.postgres.writes.loaded_collection import LoadedCollection
from proxy.stores.postgres.writes.properties import Properties
from proxy.stores.postgres.writes.transaction import refusal
from proxy.stores.postgres.writes.writer import parsed_write

_NO_KEY: Final = "rehearsal:no-key"  # of a document that got none, since it was refused


@dataclass(frozen=True, slots=True)
class RehearsedRules:
    """The properties of a collection. edge: it holds edges. undetermined: a computed value is not determined."""

    properties: Properties
    edge: bool
    undetermined: bool = False


@dataclass(frozen=True, slots=True)
class PreparedRehearsal:
    """A parsed write with the key of each document; or the answer that refuses it as a whole."""

    request: DocumentWriteRequest | None
    targets: Sequence[Target]
    refused: Outcome | None = None


@dataclass(frozen=True, slots=True)
class RehearsedDecision:
    """What the rules answer, of an array for each element; and what is stored then: None for a removed document."""

    outcomes: Sequence[Outcome]
    stored: Mapping[str, bytes | None]


class _GivenKeys(KeyGenerator):
    """A generator that makes the key which ArangoDB made."""

    given = _NO_KEY

    def make(self) -> str:
        return self.given or _NO_KEY


class GivenRevisions(Iterator[int]):
    """The revision that ArangoDB gave to the document that is being decided; else one that nothing has."""

    def __init__(self) -> None:
        self.given = 0
        self._others = itertools.count(1)

    def __next__(self) -> int:
        given, self.given = self.given, 0
        return given or next(self._others)


def prepare(write: ObservedWrite, rules: RehearsedRules, answered: Sequence[AnsweredDocument]) -> PreparedRehearsal:
    """Parse a write, and give each document its key, by the rules."""
    try:
        _, request = parsed_write(write.operation)
    except ArangoError as error:
        return PreparedRehearsal(None, (), refusal(write.operation, error))
    assert isinstance(request, DocumentWriteRequest)  # imports are answered otherwise
    keys = _GivenKeys(rules.properties.key_options, lambda: 1)
    targets: list[Target] = []
    for position, item in enumerate(request.items):
        keys.given = answered[position].key if position < len(answered) else ""
        one = replace(request, items=[item], texts=())
        targets += one.prepare(keys, edge=rules.edge).targets
    return PreparedRehearsal(request, targets)


def decide(
    write: ObservedWrite,
    rules: RehearsedRules,
    prepared: PreparedRehearsal,
    rows: Mapping[str, bytes | None],
    answered: Sequence[AnsweredDocument],
) -> RehearsedDecision:
    """Return the decision. Raise NotLoadedError if a document is not known."""
    request = prepared.request
    if request is None:
        assert prepared.refused is not None
        return RehearsedDecision([prepared.refused], {})
    revisions = GivenRevisions()
    collection = LoadedCollection(
        write.name,
        edge=rules.edge,
        properties=rules.properties,
        rows={_NO_KEY: None, **rows},
        loaded={_NO_KEY, *rows},
        revisions=revisions,
    )
    if not request.many or not request.items:
        revisions.given = _new_revision(answered[0], request.kind) if answered else 0
        outcome = _carried_out(write, PreparedWrite(request, prepared.targets), collection)
        return RehearsedDecision([outcome], _changes(collection))
    outcomes: list[Outcome] = []
    texts = request.texts or itertools.repeat(b"", len(request.items))
    for position, (item, target, text) in enumerate(zip(request.items, prepared.targets, texts, strict=True)):
        revisions.given = _new_revision(answered[position], request.kind) if position < len(answered) else 0
        one = PreparedWrite(replace(request, items=[item], texts=(text,) if text else ()), [target])
        outcomes.append(_carried_out(write, one, collection))
    return RehearsedDecision(outcomes, _changes(collection))


def _changes(collection: LoadedCollection) -> dict[str, bytes | None]:
    return {change.key: change.raw for change in collection.changes()}


def _carried_out(write: ObservedWrite, prepared: PreparedWrite, collection: LoadedCollection) -> Outcome:
    try:
        return prepared.carry_out(collection)
    except ArangoError as error:
        return refusal(write.operation, error)


def _new_revision(answer: AnsweredDocument, kind: DocumentAction) -> int:
    """Return the revision that ArangoDB gave to a new version; 0 if it made none."""
    if answer.refused or answer.rev == answer.old_rev or kind is DocumentAction.REMOVE or not bytes(answer.new):
        return 0
    return decode_rev(answer.rev)
