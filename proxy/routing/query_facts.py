"""Facts that a query's text shows, cheaply enough for the path of a request: parsed once, and never if it is huge.

Parsing takes a millisecond for every few hundred bytes: a text above `INLINE_TEXT_LIMIT` bytes is parsed in a worker
process, and a large request is decoded there (`QueryFactsCache.known`). Of a text above `PARSED` bytes only the words
are checked; what no worker could parse in time may be a modification.
"""

from __future__ import annotations

import re
from collections import OrderedDict

import msgspec

from proxy.aql import analyse, parse
from proxy.base.errors import ArangoError, IsolationError
from proxy.isolation import Lane
from proxy.model.endpoint import Effect
from proxy.model.operations import Operation
from proxy.routing.query_shapes import NOT_UNDERSTOOD, WorkerFacts, shape_of_text
from proxy.routing.route import QueryFacts
from proxy.routing.scope import GRAPHS

INLINE_TEXT_LIMIT = 3 << 10  # bytes of a text that is parsed on the event loop, which takes ten milliseconds
PARSED = 1 << 20  # bytes of a text that is parsed at all
_DECODED = 64 << 10  # bytes of a request that is decoded on the event loop
_SECONDS = 10.0  # time of a worker for one query
_KEPT = 2000  # texts whose facts are kept
_SHORT = 4 << 10  # bytes
_KEPT_LONG = 100  # further ones, each of at most
_LONG = 64 << 10  # bytes

# AQL writes only with one of these words (aql-semantics, section 9); an escape of JSON may hide one
_MODIFICATION = re.compile(rb"insert|update|replace|remove|upsert|\\u", re.IGNORECASE)
_UNKNOWN = QueryFacts(frozenset(), frozenset(), modifies=False, deterministic=False, understood=False)


class _Cursor(msgspec.Struct):
    query: str = ""
    bind_vars: dict[str, object] = msgspec.field(name="bindVars", default_factory=dict)


_CURSOR = msgspec.json.Decoder(_Cursor)


class QueryFactsCache:
    """A bounded cache by text, one for each dispatcher. lane: workers; None: all is parsed here."""

    def __init__(self, lane: Lane | None = None) -> None:
        self._known: OrderedDict[str, QueryFacts] = OrderedDict()
        self._long: OrderedDict[bytes, WorkerFacts] = OrderedDict()
        self._lane = lane

    async def known(self, operation: Operation) -> Operation:
        """Return the query with its facts and shape if they cost too much to parse here; else the query itself."""
        body = operation.body
        if len(body) <= INLINE_TEXT_LIMIT or self._lane is None or operation.effect is not Effect.QUERY:
            return operation
        if len(body) <= _DECODED:
            try:
                if len(_CURSOR.decode(body).query) <= INLINE_TEXT_LIMIT:
                    return operation
            except (msgspec.DecodeError, UnicodeDecodeError):
                return operation
        found = self._long.get(body) if len(body) <= _LONG else None
        if found is None:
            try:
                found = await self._lane.run(find, body, seconds=_SECONDS)
            except IsolationError:
                found = WorkerFacts(None, NOT_UNDERSTOOD)
            else:
                if len(body) <= _LONG:
                    self._long[body] = found
                    if len(self._long) > _KEPT_LONG:
                        self._long.popitem(last=False)
        return msgspec.structs.replace(operation, known=found)

    def of_operation(self, operation: Operation, *, matters: bool = True) -> QueryFacts | None:
        """Return the facts of a query, as `of`, or those that a worker found."""
        if isinstance(operation.known, WorkerFacts):
            facts = operation.known.facts
            return facts if isinstance(facts, QueryFacts) else None
        return self.of(operation.body, matters=matters)

    def of(self, body: bytes, *, matters: bool = True) -> QueryFacts | None:
        """Return the facts of a cursor's body; None if it may write and is not understood.

        matters: something in the database is mirrored; else the words are enough.
        """
        try:
            cursor = _CURSOR.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return by_words(body)
        text = cursor.query
        if not matters or len(text) > PARSED:
            return by_words(text.encode("utf-8", "surrogatepass"))
        binds = {name: value for name, value in cursor.bind_vars.items() if name.startswith("@")}
        cached = f"{text}\0{sorted(binds.items())}" if binds else text
        known = self._known.get(cached)
        if known is not None:
            self._known.move_to_end(cached)
            return known
        try:
            found = analyse(parse(text), cursor.bind_vars)
        except ArangoError:  # not kept: with other bind values it may be valid
            return by_words(text.encode("utf-8", "surrogatepass"))
        numbered = any(
            name[:1].isdigit() for name in found.reads | found.writes
        )  # by id: only ArangoDB knows the collection
        facts = QueryFacts(
            found.reads | {GRAPHS} if found.graphs else found.reads,
            frozenset() if numbered else found.writes,
            found.modifies,
            found.deterministic,
            understood=not numbered,
            dynamic=found.dynamic or bool(found.graphs),
            takes_any=found.takes_any,
        )
        if not found.by_values and len(cached) <= _SHORT:
            self._known[cached] = facts
            if len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return facts


def find(body: bytes) -> WorkerFacts:
    """Return the facts and the shape of a request of any size; runs in a worker."""
    facts = QueryFactsCache().of(body)
    try:
        text = _CURSOR.decode(body).query
    except (msgspec.DecodeError, UnicodeDecodeError):
        text = ""
    return WorkerFacts(facts, shape_of_text(text) if 0 < len(text) <= PARSED else NOT_UNDERSTOOD)


def by_words(text: bytes) -> QueryFacts | None:
    """Return what is known without parsing: None if the text holds a word of a modification."""
    return None if _MODIFICATION.search(text) else _UNKNOWN
