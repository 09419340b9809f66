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
from proxy.rehearsal.known_versions import OLD, KnownVersions
from proxy.rehearsal.met_documents import CHANGED, GONE, MetDocuments, StoredVersion, met_by, placeholder
from proxy.rehearsal.observed import CONFLICT, AnsweredDocument, ObservedWrite
from proxy.rehearsal.unique_holders import UniqueHolders
from proxy.rehearsal.verdicts import Different, Equal, NoVerdict, Verdict
from proxy.stores.postgres.writes.interruptions import NotLoadedError

NOT_UNDERSTOOD: Final = "answer not understood"
NOT_BY_RULES: Final = "refused for another reason"
CONTENDED: Final = "another write was under way"
CHANGED_RULES: Final = "the collection has changed"
BEHIND: Final = "mirrors were behind"
RANDOM: Final = "computed values are not determined"
_RULED: Final = frozenset({400, 600, 1200, 1202, 1205, 1210, 1221, 1222, 1227, 1233, 1239, 1620})
_OF_REQUEST: Final = frozenset({400, 600, 1205, 1221, 1222, 1227})  # whatever is stored
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
    async def settled(self, collection: str) -> bool:
        """Wait until PostgreSQL has what every proxy has written up to now; False if that takes too long."""


class Judge:
    """Judges writes of documents, one at a time or several."""

    def __init__(self, rules: RulesSource, documents: DocumentSource, known: KnownVersions) -> None:
        self._rules = rules
        self._documents = documents
        self._known = known
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
        found, absent = (await self._looked_up(write, wanted)) if wanted else ({}, frozenset())

        def known(key: str, rev: int) -> bool:
            return rev <= write.floor - OLD or self._known.before(write.collection, key, rev, write.moment)

        rows = BEHIND if found is None else met.proven(found, known, absent)
        if isinstance(rows, str):
            if rows != GONE or not all(one.number in _OF_REQUEST for one in answered if one.refused):
                return NoVerdict(rows)
            # whether there was a document matters neither to these errors nor to a difference that is one either way
            rows = {**dict.fromkeys(wanted), **met.rows}
            present = {**{key: placeholder(write, key) for key in wanted}, **met.rows}
            if isinstance(_compared(write, rules, prepared, present, answered), Equal):
                return NoVerdict(GONE)
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

    async def _looked_up(
        self, write: ObservedWrite, keys: Sequence[str]
    ) -> tuple[dict[str, StoredVersion] | None, frozenset[str]]:
        """Return what ArangoDB has of the keys now, and which of them are known to have had no document all the time.

        None if the mirrors were not up to date in time.
        """
        if not await self._documents.settled(write.collection):
            return None, frozenset()
        found = await self._documents.origin(write.collection, keys)
        gone = [key for key, version in found.items() if version.raw is None]
        traces = await self._documents.target(write.collection, gone) if gone else {}
        absent = frozenset(
            key
            for key, trace in traces.items()
            if trace.raw is None and self._known.before(write.collection, key, trace.rev, write.moment, removed=True)
        )
        return found, absent


def _compared(
    write: ObservedWrite,
    rules: RehearsedRules,
    prepared: PreparedRehearsal,
    rows: Mapping[str, bytes | None],
    answered: Sequence[AnsweredDocument],
) -> Equal | Different:
    """Return the verdict, given what the write met. Raise NotLoadedError."""
    many = prepared.request is not None and prepared.request.many
    return compare(write, answered, decisions.decide(write, rules, prepared, rows, answered), many=many)


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
