"""Operations in flight in this instance, by collection: the acknowledgements of an epoch depend on them.

A name is `database/name`, or `database/*` for an operation (or a transition) of unknown extent, which touches every
collection of that database (mirror-protocol, "Flip", 2 to 4).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

Scope = frozenset[str] | None  # None: every collection


def overlap(one: str, other: str) -> bool:
    """Return True if two names, of a collection, a database or all (`*/*`), have a collection in common."""
    if one == other or "*/*" in (one, other):
        return True
    if one.endswith("/*"):
        return other.startswith(one[:-1])
    return other.endswith("/*") and one.startswith(other[:-1])


def touches(scope: Scope, collections: Iterable[str]) -> bool:
    """Return True if any of the collections is in the scope."""
    if scope is None:
        return True
    return any(overlap(name, wanted) for name in collections for wanted in scope)


class OperationInFlight(Protocol):
    """A `Ticket`, or what counts itself, as each captured write does."""

    @property
    def generation(self) -> int:
        """The version of the stages that the instance ran at when it started."""
        ...

    def open_in(self, scope: Scope) -> int:
        """Return the number of its open intents in the scope."""
        ...


@dataclass(eq=False, slots=True)
class Ticket:
    """One operation in flight: its collections, and the generation that the instance ran at when it started.

    applied: returns True once PostgreSQL has what it wrote (its intent is complete), so that nothing waits for it.
    left: if it has intents in several collections, returns the collection of each open one.
    numbers: for a stream transaction, returns the numbers of its intents in the journal.
    """

    collections: tuple[str, ...]
    generation: int
    applied: Callable[[], bool]
    left: Callable[[], Iterable[str]] | None = None
    numbers: Callable[[], Iterable[int]] = tuple

    def open_in(self, scope: Scope) -> int:
        """Return the number of its open intents in the scope; at most one without `left`."""
        if self.left is not None:
            return sum(touches(scope, (name,)) for name in self.left())
        return int(touches(scope, self.collections) and not self.applied())


def _no() -> bool:
    return False


class Tracked:
    """A `with` block during which a ticket is in a set. Not a generator, which would slow down every write."""

    __slots__ = ("_kind", "_ticket")

    def __init__(self, kind: set[Ticket] | set[OperationInFlight], ticket: Ticket) -> None:
        self._kind = kind
        self._ticket = ticket

    def __enter__(self) -> Ticket:
        self._kind.add(self._ticket)
        return self._ticket

    def __exit__(self, *_: object) -> None:
        self._kind.discard(self._ticket)


@dataclass(slots=True)
class InFlight:
    """Operations in flight, by kind: at most as many as connections, so that searching them is cheap.

    running: stream transactions that have written; their generation is the one at which ArangoDB last reported them as
    running.
    """

    uncaptured: set[Ticket] = field(default_factory=set)  # writes that were forwarded without an intent
    captured: set[OperationInFlight] = field(default_factory=set)  # writes with an intent, not answered yet
    changes: set[Ticket] = field(default_factory=set)  # of properties and indexes, which nothing captures
    queries: set[Ticket] = field(default_factory=set)  # queries that ArangoDB runs
    running: set[Ticket] = field(default_factory=set)

    @staticmethod
    def track(
        kind: set[Ticket] | set[OperationInFlight],
        collections: tuple[str, ...],
        generation: int,
        applied: Callable[[], bool] = _no,
        left: Callable[[], Iterable[str]] | None = None,
    ) -> Tracked:
        """Count an operation while the block runs. kind: one of this object's sets."""
        return Tracked(kind, Ticket(collections, generation, applied, left))

    @staticmethod
    def count(kind: set[Ticket], scope: Scope) -> int:
        """Return the number of operations of that kind in the scope."""
        return sum(touches(scope, ticket.collections) for ticket in kind)

    def waiting(self, scope: Scope) -> int:
        """Return the number of open intents in the scope that are not a backlog: of unanswered writes, and of running
        transactions.

        Nothing that a transaction wrote is visible before its commit, which is a write with an answer.
        """
        return sum(ticket.open_in(scope) for ticket in (*self.captured, *self.running))

    def at_origin(self, scope: Scope) -> int:
        """Return the number of writes, queries and stream transactions under way at ArangoDB in the scope.

        A captured write counts until its intents are closed; a transaction that this instance knows counts with or
        without writes, since it may still write.
        """
        unanswered = sum(each.open_in(scope) > 0 for each in self.captured)
        kinds = (self.uncaptured, self.changes, self.queries, self.running)
        return unanswered + sum(self.count(kind, scope) for kind in kinds)

    def running_intents(self) -> frozenset[int]:
        """Return the numbers of the intents of running transactions."""
        return frozenset(number for ticket in self.running for number in ticket.numbers())

    def older(self, scope: Scope, generation: int) -> int:
        """Return the number of captured writes in the scope that started before `generation` and are not applied yet.

        Transactions count too if ArangoDB has not reported them as running since then: another proxy may have forwarded
        their commit before it ran at this generation. (From `begin` of a flip on, no proxy forwards the commit of a
        transaction whose writes it did not capture.)
        """
        return sum(
            ticket.generation < generation and ticket.open_in(scope) > 0 for ticket in (*self.captured, *self.running)
        )
