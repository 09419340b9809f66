"""Who carries out a request while PostgreSQL takes the writes of some collections, or while that changes. Pure.

PostgreSQL alone carries out what concerns promoted collections, and ArangoDB what concerns none: a request is never
carried out by both. Which collections a request concerns, `concerns` decides from the facts of its endpoint's row. An
answer that depends on collections of both is refused by name; but what only reads may be answered as a flip reads, if
all of them are served by PostgreSQL (promotion-protocol, "Promote" 1, "Demote" 1).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from proxy.model.endpoint import Family, Verb
from proxy.model.operations import Operation
from proxy.model.own_ids import PROMOTED_CURSORS, PROMOTED_JOBS, PROMOTED_TRANSACTIONS
from proxy.model.stages import Snapshot, Stage, Writer
from proxy.routing.concerns import Concern, concern_of
from proxy.routing.route import QueryFacts

_TRANSACTION: Final = "x-arango-trx-id"
_ALL: Final = 100  # percent
_NAMED: Final = 3  # collections in a message


class Owner(enum.Enum):
    """Who carries out a request."""

    ORIGIN = "origin"  # ArangoDB, and PostgreSQL what is flipped
    OWN = "own"  # PostgreSQL alone: each collection is promoted
    FENCED = "fenced"  # a read: PostgreSQL under the fence of a flip; else it waits
    WAIT = "wait"  # it is not decided who takes the writes: route it again by a later snapshot
    MIXED = "mixed"  # some are promoted and some are not: refused


@dataclass(frozen=True, slots=True)
class Ownership:
    """The decision. collections: what it concerns (`database/name`), sorted. reason: of a refusal, by name.

    only_reads: it changes nothing. whole: every collection is complete, so that PostgreSQL is the whole server, of
    accounts and databases too, and nobody's fence is needed.
    """

    owner: Owner
    collections: tuple[str, ...] = ()
    reason: str = ""
    only_reads: bool = False
    whole: bool = False


ORIGIN: Final = Ownership(Owner.ORIGIN)
WHOLE: Final = Ownership(Owner.OWN, whole=True)
_TOGETHER: Final = "promote them together"


def ownership(operation: Operation, snapshot: Snapshot, query: QueryFacts | None) -> Ownership:
    """Return who carries out a request by the snapshot. query: of one that has a query, None if it is not understood.

    Call it while `snapshot.has_other_writers`.
    """
    session = _session(operation)
    transaction = operation.headers.get(_TRANSACTION)
    if snapshot.is_complete and session in (None, ORIGIN) and not PROMOTED_TRANSACTIONS.owns(transaction or ""):
        return WHOLE
    if session is not None:
        return session
    concern = concern_of(operation, snapshot, query)
    if concern is None:
        return WHOLE if snapshot.is_complete else ORIGIN
    if transaction is not None and concern.in_transaction:
        return _in_transaction(transaction, concern, snapshot)
    return _decided(concern, snapshot)


def _session(operation: Operation) -> Ownership | None:
    """Return the owner of what a request continues or ends, by the form of its id; None if it continues nothing."""
    endpoint = operation.endpoint
    identifier = operation.path[2] if len(operation.path) > 2 else ""
    if endpoint.family is Family.CURSOR:
        return Ownership(Owner.OWN) if PROMOTED_CURSORS.owns(identifier) else ORIGIN
    if endpoint.family is Family.JOB:
        return Ownership(Owner.OWN) if PROMOTED_JOBS.owns(identifier) else ORIGIN
    if endpoint.family is Family.TRANSACTION and PROMOTED_TRANSACTIONS.owns(identifier):
        return Ownership(Owner.OWN)
    ends = endpoint.family is Family.TRANSACTION and endpoint.verb in (Verb.COMMIT, Verb.ABORT)
    return ORIGIN if ends else None


def _in_transaction(identifier: str, concern: Concern, snapshot: Snapshot) -> Ownership:
    """Return who carries out a part of a stream transaction: who began it, if it takes the writes of all of it.

    One of ArangoDB that is still open while a collection is being promoted goes on: the promotion waits for its end.
    """
    writers = {snapshot.policy(name).writer for name in concern.names}
    if PROMOTED_TRANSACTIONS.owns(identifier):
        if writers <= {Writer.TARGET, Writer.NONE}:
            return Ownership(Owner.OWN, concern.names)
        return _mixed(concern, snapshot, "in a stream transaction of promoted collections")
    if any(_promoted(snapshot, name) for name in concern.names):
        return _mixed(concern, snapshot, "in a stream transaction of ArangoDB")
    return ORIGIN


def _decided(concern: Concern, snapshot: Snapshot) -> Ownership:
    policies = [snapshot.policy(name) for name in concern.names]
    writers = {policy.writer for policy in policies}
    if writers <= {Writer.ORIGIN}:
        return ORIGIN
    if concern.only_reads:
        promoted = [_promoted(snapshot, name) for name in concern.names]
        if all(promoted):
            return Ownership(Owner.OWN, concern.names, only_reads=True)
        served = (moved or policy.weight == _ALL for moved, policy in zip(promoted, policies, strict=True))
        if concern.by_flip and all(served):
            return Ownership(Owner.FENCED, concern.names, only_reads=True)
    if Writer.NONE in writers:
        return Ownership(Owner.WAIT, concern.names)
    if writers == {Writer.TARGET} and not concern.unseen:
        return Ownership(Owner.OWN, concern.names)
    return _mixed(concern, snapshot, concern.unseen)


def _mixed(concern: Concern, snapshot: Snapshot, why: str) -> Ownership:
    """Return the refusal of a request that neither database can carry out, with the names that it is about."""
    promoted = [name for name in concern.names if _promoted(snapshot, name)]
    others = [name for name in concern.names if not _promoted(snapshot, name)]
    text = f"one request for promoted collections ({_some(promoted)})"
    if others:
        text += f" and others ({_some(others)})"
    return Ownership(Owner.MIXED, concern.names, f"{text}: {why or _TOGETHER}", concern.only_reads)


def _some(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def _promoted(snapshot: Snapshot, name: str) -> bool:
    return snapshot.state(name).stage.at_least(Stage.PROMOTED)
