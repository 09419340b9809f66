"""One query that ArangoDB has carried out -> the verdict, as `judge` for writes of documents.

What the query wrote is shown before and after. If it also reads documents that it does not write, the whole collection
is read, if it is small: then a difference counts only if nothing in it was written since the floor, by what both
databases have once all mirrors have caught up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from proxy.base.errors import ArangoError, Unsupported
from proxy.rehearsal import query_decisions
from proxy.rehearsal.chosen_query import ObservedQuery, WrittenByQuery
from proxy.rehearsal.decisions import RehearsedRules
from proxy.rehearsal.judge import BEHIND, CHANGED_RULES, NOT_UNDERSTOOD, RANDOM, RulesSource
from proxy.rehearsal.known_versions import OLD, KnownVersions
from proxy.rehearsal.met_documents import CHANGED, StoredVersion
from proxy.rehearsal.query_decisions import RehearsedQuery, met_rows
from proxy.rehearsal.verdicts import Different, Equal, NoVerdict, Verdict

MANY: Final = "a query of a large collection"
TWICE: Final = "a query that writes a document twice"
NOT_SUPPORTED: Final = "a query that the evaluator does not support"
MOST: Final = 1000  # documents of a collection that is read as a whole


class WholeSource(Protocol):
    """All documents of a collection, by key, at most `limit` of them. Each raises ArangoError, DatabaseError,
    UpstreamError.
    """

    async def whole_target(self, collection: str, limit: int) -> dict[str, StoredVersion]:
        """Return PostgreSQL's, with its tombstones."""

    async def settled(self, collection: str) -> bool:
        """Wait until PostgreSQL has what every proxy has written up to now; False if that takes too long."""

    async def whole_origin(self, collection: str, limit: int) -> dict[str, StoredVersion]:
        """Return ArangoDB's."""


class QueryJudge:
    """Judges queries."""

    def __init__(self, rules: RulesSource, documents: WholeSource, known: KnownVersions) -> None:
        self._rules = rules
        self._known = known
        self._documents = documents

    async def judge(self, query: ObservedQuery) -> Verdict:
        """Return the verdict of a query. Raise ArangoError, DatabaseError, UpstreamError if a read fails."""
        try:
            written = query.written()
        except ValueError:
            return NoVerdict(NOT_UNDERSTOOD)
        if len({one.key for one in written}) < len(written):
            return NoVerdict(TWICE)
        asked = query_decisions.parsed(query.operation.body, query.name)
        if asked.why_not:
            return NoVerdict(asked.why_not)
        rules = await self._rules.of(query.collection)
        reads = asked.reads or bool(rules.properties.uniques)
        others: Mapping[str, StoredVersion] = {}
        if reads:
            others = await self._documents.whole_target(query.collection, MOST + 1)
            if len(others) > MOST:
                return NoVerdict(MANY)
        verdict: Verdict
        try:
            verdict = _compared(query, asked, rules, others, written)
            if isinstance(verdict, Equal):
                return verdict
            made = rules.properties.computed and any(bytes(one.old) == b"null" for one in written)
            if rules.undetermined or made:  # of keys that ArangoDB made, perhaps
                return NoVerdict(RANDOM)
            if reads:
                verdict = await self._confirmed(query, asked, rules, written)
        except Unsupported:
            return NoVerdict(NOT_SUPPORTED)
        if not isinstance(verdict, Different):
            return verdict
        try:
            now = await self._rules.again(query.collection)
        except ArangoError:  # it is gone
            return NoVerdict(CHANGED_RULES)
        return verdict if now.properties.text == rules.properties.text else NoVerdict(CHANGED_RULES)

    async def _confirmed(
        self, query: ObservedQuery, asked: RehearsedQuery, rules: RehearsedRules, written: list[WrittenByQuery]
    ) -> Verdict:
        """Return the verdict by the collection as both databases have it now, if it is what the query met."""
        if asked.gathers:  # a document may have come and gone without a trace
            return NoVerdict(CHANGED)
        if not await self._documents.settled(query.collection):
            return NoVerdict(BEHIND)
        target = await self._documents.whole_target(query.collection, MOST + 1)
        origin = await self._documents.whole_origin(query.collection, MOST + 1)
        if max(len(target), len(origin)) > MOST:
            return NoVerdict(MANY)
        own = {one.key for one in written}
        if any(
            not self._is_known(query, key, one) for key, one in (*target.items(), *origin.items()) if key not in own
        ):
            return NoVerdict(CHANGED)
        there = {key: version.rev for key, version in origin.items() if key not in own}
        if there != {key: one.rev for key, one in target.items() if key not in own and one.raw is not None}:
            return NoVerdict(CHANGED)
        return _compared(query, asked, rules, origin, written)

    def _is_known(self, query: ObservedQuery, key: str, version: StoredVersion) -> bool:
        """Return True if a version, or a removal, is known to be from before the query."""
        removed = version.raw is None
        if not removed and version.rev <= query.floor - OLD:
            return True
        return self._known.before(query.collection, key, version.rev, query.moment, removed=removed)


def _compared(
    query: ObservedQuery,
    asked: RehearsedQuery,
    rules: RehearsedRules,
    others: Mapping[str, StoredVersion],
    written: list[WrittenByQuery],
) -> Equal | Different:
    """Raise Unsupported."""
    rows = met_rows({key: one.raw for key, one in others.items() if one.raw is not None}, written)
    decided = query_decisions.decide(asked, query.name, rules, rows, query.operation.database, written)
    return query_decisions.compare(written, decided)
