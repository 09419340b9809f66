"""Connects the parts of the rehearsal of one proxy."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from proxy.base.config import Settings
from proxy.base.database import Database
from proxy.rehearsal.collection_rules import OriginRules
from proxy.rehearsal.judge import Judge
from proxy.rehearsal.known_versions import KnownVersions
from proxy.rehearsal.lookups import Lookups
from proxy.rehearsal.query_judge import QueryJudge
from proxy.rehearsal.rehearser import Rehearser
from proxy.rehearsal.shape_results import ShapeResults
from proxy.shadow.peer_lag import PeerLag
from proxy.shadow.result_store import ResultStore
from proxy.stores.arango import ArangoStore


def rehearser_of(
    settings: Settings,
    instance: str,
    origin: ArangoStore,
    database: Database,
    reads: Database,
    ledger: ResultStore,
    caught_up: Callable[[str, float], Awaitable[bool]],
) -> Rehearser | None:
    """Return the rehearsal, which its owner starts and closes; None if the settings switch it off.

    reads: connections for documents. caught_up(collection, timeout): True once this proxy's mirror has applied all that
    it took up to now.
    """
    if settings.rehearsal_share <= 0:
        return None
    peers = PeerLag(database, instance)
    rules, known, documents = OriginRules(origin), KnownVersions(), Lookups(reads, origin, caught_up, peers)
    judges = Judge(rules, documents, known), QueryJudge(rules, documents, known)
    return Rehearser(settings, *judges, known, ShapeResults(database), ledger, peers)
