"""What a query's text says, cheaply enough for the path of a request: parsed once, and never where it is huge.

Parsing runs on the event loop, where every client waits: a text above `PARSED` bytes is judged by its words alone.
"""

from __future__ import annotations

import re
from collections import OrderedDict

import msgspec

from proxy.aql import analyse, parse
from proxy.errors import ArangoError
from proxy.routing import QueryFacts

PARSED = 32 << 10  # bytes of a text that is parsed
_KEPT = 2000  # texts whose facts are kept, each of at most
_SHORT = 4 << 10  # bytes

# AQL writes only where one of these words stands (aql-semantics, section 9); an escape of JSON may hide one
_MODIFICATION = re.compile(rb"insert|update|replace|remove|upsert|\\u", re.IGNORECASE)
_UNKNOWN = QueryFacts(frozenset(), frozenset(), modifies=False, deterministic=False, understood=False)


class _Cursor(msgspec.Struct):
    query: str = ""
    bind_vars: dict[str, object] = msgspec.field(name="bindVars", default_factory=dict)


_CURSOR = msgspec.json.Decoder(_Cursor)


class Facts:
    """A bounded memory of texts. One a dispatcher."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, QueryFacts] = OrderedDict()

    def of(self, body: bytes, *, matters: bool = True) -> QueryFacts | None:
        """The facts of a cursor's body; None where it may write and is not understood.

        matters: whether anything in the database is mirrored; else the words are enough.
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
        except ArangoError:  # not kept: other bind values may put it right
            return by_words(text.encode("utf-8", "surrogatepass"))
        numbered = any(name[:1].isdigit() for name in found.reads | found.writes)  # by id: which one, ArangoDB knows
        facts = QueryFacts(
            found.reads,
            frozenset() if numbered else found.writes,
            found.modifies,
            found.deterministic,
            understood=not (found.dynamic or found.graphs or numbered),
        )
        if len(cached) <= _SHORT:
            self._known[cached] = facts
            if len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return facts


def by_words(text: bytes) -> QueryFacts | None:
    """What can be said without parsing: None where a word of a modification stands in it."""
    return None if _MODIFICATION.search(text) else _UNKNOWN
