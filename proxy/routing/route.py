"""Route: what happens to a request, as one value; QueryFacts: what is known of a query's text."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

import msgspec


class Action(enum.Enum):
    """The ways that a request can go."""

    FORWARD = "forward"  # to the origin as it is
    READ = "read"  # documents or a query: origin or target, perhaps compared
    CAPTURE = "capture"  # a write: journal, forward so that what it wrote is known, mirror
    OPAQUE = "opaque"  # forward, then mark what it may have written unverified


class Route(msgspec.Struct, frozen=True, gc=False):
    """The treatment of one request.

    collections: `database/name` of what it reads (READ) or may have written (CAPTURE, OPAQUE; `db/*` is all of them).
    target: the target is asked first. compare: the shadow gets it. hold: wait until the flip that is under way has been
    decided. gap: why it is neither captured nor compared. writes: what a forwarded request may write without an intent,
    so that the change to stage `mirror` waits for it. extent: of a query whose text does not show all that it reads,
    the names of collections that it may read (`query_routes.extent_of`).
    """

    action: Action
    collections: tuple[str, ...] = ()
    target: bool = False
    compare: bool = False
    hold: bool = False
    gap: str = ""
    writes: tuple[str, ...] = ()
    extent: frozenset[str] = frozenset()

    def with_reason(self, reason: str) -> Route:
        """Return the same with a reason why it is not captured."""
        return msgspec.structs.replace(self, gap=reason)


FORWARD: Final = Route(Action.FORWARD)


@dataclass(frozen=True, slots=True)
class QueryFacts:
    """The result of the analysis of a query's text: names without database.

    understood: the text was parsed. dynamic: it reads more than `reads` names: a graph without WITH, whose vertices lie
    anywhere, a named graph, whose definition is a document of `_graphs`, DOCUMENT of a computed id.
    takes_any: it is not deterministic, but only because any rows of the right number are an answer (LIMIT without
    SORT). Clients page with such queries all the same, so that one side has to answer all of them: PostgreSQL, which
    gives them in the order of keys, if it answers all reads of the collection, else ArangoDB.
    """

    reads: frozenset[str]
    writes: frozenset[str]
    modifies: bool
    deterministic: bool
    understood: bool = True
    dynamic: bool = False
    takes_any: bool = False
