"""What is under way in this instance, by collection: what the acknowledgements of an epoch look at.

A name is `database/name`, or `database/*` for an operation (or a move) of unknown extent, which touches every
collection of that database (mirror-protocol, "Flip", 2 to 4).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

Scope = frozenset[str] | None  # None is everything


def overlap(one: str, other: str) -> bool:
    """Whether two names, each perhaps a whole database (or all, `*/*`), have a collection in common."""
    if one == other or "*/*" in (one, other):
        return True
    if one.endswith("/*"):
        return other.startswith(one[:-1])
    return other.endswith("/*") and one.startswith(other[:-1])


def touches(scope: Scope, collections: Iterable[str]) -> bool:
    """Whether any of the collections is in the scope."""
    if scope is None:
        return True
    return any(overlap(name, wanted) for name in collections for wanted in scope)


@dataclass(eq=False, slots=True)
class Ticket:
    """One operation under way: what it touches, and the generation that the instance behaved by when it began.

    applied: whether PostgreSQL has what it wrote (a write whose intent is settled), so that nothing waits for it.
    left: for an operation with intents in several collections, those of its intents that are open, by collection.
    numbers: of its intents in the journal, for a stream transaction.
    """

    collections: tuple[str, ...]
    generation: int
    applied: Callable[[], bool]
    left: Callable[[], Iterable[str]] | None = None
    numbers: Callable[[], Iterable[int]] = tuple

    def open_in(self, scope: Scope) -> int:
        """How many of its intents in the scope are open; one at most where it does not tell them apart."""
        if self.left is not None:
            return sum(touches(scope, (name,)) for name in self.left())
        return int(touches(scope, self.collections) and not self.applied())


def _no() -> bool:
    return False


class Tracked:
    """A `with` block in which a token is in a set. No generator: it stands on the path of every write."""

    __slots__ = ("_kind", "_token")

    def __init__(self, kind: set[Ticket], token: Ticket) -> None:
        self._kind = kind
        self._token = token

    def __enter__(self) -> Ticket:
        self._kind.add(self._token)
        return self._token

    def __exit__(self, *_: object) -> None:
        self._kind.discard(self._token)


@dataclass(slots=True)
class InFlight:
    """Operations under way, by kind. Few at a time, as many as connections: looking through them is cheap.

    running: stream transactions that have written; `generation` is that by which the origin last said that it runs.
    """

    uncaptured: set[Ticket] = field(default_factory=set)  # writes that were forwarded without an intent
    captured: set[Ticket] = field(default_factory=set)  # writes with an intent, not answered yet
    queries: set[Ticket] = field(default_factory=set)  # queries that the origin runs
    running: set[Ticket] = field(default_factory=set)

    @staticmethod
    def during(
        kind: set[Ticket],
        collections: tuple[str, ...],
        generation: int,
        applied: Callable[[], bool] = _no,
        left: Callable[[], Iterable[str]] | None = None,
    ) -> Tracked:
        """Counts an operation as long as the block runs; `kind` is one of this object's sets."""
        return Tracked(kind, Ticket(collections, generation, applied, left))

    @staticmethod
    def count(kind: set[Ticket], scope: Scope) -> int:
        """Operations of that kind in the scope."""
        return sum(touches(scope, token.collections) for token in kind)

    def waiting(self, scope: Scope) -> int:
        """Open intents of the scope that are no backlog: of writes that are not answered, and of transactions that run.

        What a transaction wrote is visible to nobody before its commit, and that is a write which is answered.
        """
        return sum(token.open_in(scope) for token in (*self.captured, *self.running))

    def unended(self) -> frozenset[int]:
        """Numbers of the intents of transactions that run."""
        return frozenset(number for token in self.running for number in token.numbers())

    def older(self, scope: Scope, generation: int) -> int:
        """Captured writes of the scope that began before `generation` and are not applied yet.

        Transactions as well that were not seen to run since then: another proxy may have forwarded their commit before
        it behaved by this generation. (From `begin` of a flip on, none forwards a commit of what it did not see.)
        """
        return sum(
            token.generation < generation and token.open_in(scope) > 0 for token in (*self.captured, *self.running)
        )
