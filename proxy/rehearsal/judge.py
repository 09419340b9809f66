"""One write of documents, with ArangoDB's answer -> the verdict.

First by what the answer shows and PostgreSQL has: if that gives ArangoDB's answer, the write is rehearsed. A difference
counts only if nothing else explains it: the documents that the answer does not show are read from ArangoDB and must be
those that the write met, and the collection must have the properties that were assumed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol

from proxy.base.errors import ArangoError
from proxy.rehearsal import decisions
from proxy.rehearsal.comparison import compare
from proxy.rehearsal.decisions import PreparedRehearsal, RehearsedRules
from proxy.rehearsal.met_documents import CHANGED, MetDocuments, StoredVersion, met_by
from proxy.rehearsal.observed import CONFLICT, AnsweredDocument, ObservedWrite
from proxy.rehearsal.unique_holders import UniqueHolders
from proxy.rehearsal.verdicts import Different, Equal, NoVerdict, Verdict
from proxy.stores.postgres.writes.interruptions import NotLoadedError

NOT_UNDERSTOOD: Final = "answer not understood"
NOT_BY_RULES: Final = "refused for another reason"
CONTENDED: Final = "another write was under way"
CHANGED_RULES: Final = "the collection has changed"
RANDOM: Final = "computed values are not determined"
_RULED: Final = frozenset({400, 600, 1200, 1202, 1205, 1210, 1221, 1222, 1227, 1233, 1239, 1620})
_ROUNDS: Final = 4  # of looking up documents that the rules ask for


class RulesSource(Protocol):
    """The properties of collections. Each raises ArangoError, UpstreamError."""

    async def of(self, collection: str) -> RehearsedRules: ...
    async def again(self, collection: str) -> RehearsedRules:
        """Read them from ArangoDB now."""


class DocumentSource(Protocol):
    """The stored documents of a collection. Each raises ArangoError, DatabaseError, UpstreamError."""

    async def target(self, collection: str, keys: Sequence[str]) -> dict[str, StoredVersion]: ...
    async def origin(self, collection: str, keys: Sequence[str]) -> dict[str, StoredVersion]: ...


class Judge:
    """Judges writes of documents, one at a time or several."""

    def __init__(self, rules: RulesSource, documents: DocumentSource) -> None:
        self._rules = rules
        self._documents = documents
        self._holders = UniqueHolders()

    async def judge(self, write: ObservedWrite) -> Verdict:
        """Return the verdict of a write. Raise ArangoError, DatabaseError, UpstreamError if a read fails."""
        try:
            answered = write.answered()
        except ValueError:
            return NoVerdict(NOT_UNDERSTOOD)
        rules = await self._rules.of(write.collection)
        reason = _not_ruled(write, answered, rules)
        if reason:
            return NoVerdict(reason)
        prepared = decisions.prepare(write, rules, answered)
        verdict = await self._judged(write, rules, prepared, answered)
        if rules.properties.uniques:
            self._holders.learn(write.collection, rules.properties.uniques, answered)
        return verdict

    async def _judged(
        self,
        write: ObservedWrite,
        rules: RehearsedRules,
        prepared: PreparedRehearsal,
        answered: Sequence[AnsweredDocument],
    ) -> Verdict:
        if prepared.request is None:
            return _compared(write, rules, prepared, {}, answered)
        met = met_by(write, prepared.request, prepared.targets, answered)
        if rules.properties.uniques:
            for key in self._holders.candidates(write.collection, rules.properties.uniques, answered):
                if key not in met.rows:
                    met.wanted[key] = None
        keys = list(met.lookups())
        found = await self._documents.target(write.collection, keys) if keys else {}
        for _ in range(_ROUNDS):
            try:
                verdict = _compared(write, rules, prepared, met.with_found(found, write.floor), answered)
                break
            except NotLoadedError as error:  # a key that the answer does not name, or a version that is too new
                missing = [key for key in error.keys if key not in found]
                if not missing:
                    return await self._confirmed(write, rules, prepared, answered, met, keys)
                keys += missing
                met.wanted.update(dict.fromkeys(missing))
                found |= await self._documents.target(write.collection, missing)
        else:
            return NoVerdict(CHANGED)
        if isinstance(verdict, Equal):
            return verdict
        return await self._confirmed(write, rules, prepared, answered, met, [*keys, *met.vague])

    async def _confirmed(
        self,
        write: ObservedWrite,
        rules: RehearsedRules,
        prepared: PreparedRehearsal,
        answered: Sequence[AnsweredDocument],
        met: MetDocuments,
        keys: Iterable[str],
    ) -> Verdict:
        """Return the verdict by what ArangoDB itself has: a difference is one only if nothing else explains it."""
        wanted = list(dict.fromkeys(keys))
        found = await self._documents.origin(write.collection, wanted) if wanted else {}
        rows = met.proven(found, write.floor)
        if isinstance(rows, str):
            return NoVerdict(rows)
        try:
            verdict = _compared(write, rules, prepared, rows, answered)
        except NotLoadedError:
            return NoVerdict(CHANGED)
        if isinstance(verdict, Equal):
            return verdict
        if rules.undetermined:
            return NoVerdict(RANDOM)
        try:
            now = await self._rules.again(write.collection)
        except ArangoError:  # it is gone
            return NoVerdict(CHANGED_RULES)
        if now.properties.text != rules.properties.text:
            return NoVerdict(CHANGED_RULES)
        return verdict


def _compared(
    write: ObservedWrite,
    rules: RehearsedRules,
    prepared: PreparedRehearsal,
    rows: Mapping[str, bytes | None],
    answered: Sequence[AnsweredDocument],
) -> Equal | Different:
    """Return the verdict, given what the write met. Raise NotLoadedError."""
    many = prepared.request is not None and prepared.request.many
    return compare(write, decisions.decide(write, rules, prepared, rows, answered), many=many)


def _not_ruled(write: ObservedWrite, answered: Sequence[AnsweredDocument], rules: RehearsedRules) -> str:
    """Return why an answer is no matter of the rules; empty if it is one."""
    if write.status >= 500 or write.status in (401, 403):
        return NOT_BY_RULES
    many = write.body[:1] == b"["
    for one in answered:
        if not one.refused:
            continue
        if one.number == CONFLICT and (write.status == 409 or (many and "_rev" not in one.message)):
            return CONTENDED
        if one.number not in _RULED and not rules.properties.computed:
            return NOT_BY_RULES
    return ""
