"""The protocol of the lease on the path of a request; an upper layer implements it."""

from __future__ import annotations

from typing import Protocol

from proxy.model.stages import Snapshot


class LeaseView(Protocol):
    """The lease of this process (proxy/control/instance/lease.py), as requests see it.

    era: the stamp of a write that is forwarded now. may_read_target: a read of PostgreSQL may be tried; the fence in
    its statement decides. own_lease_expired: no process reads PostgreSQL because of this one's lease, so that it may
    acknowledge writes to flipped collections with ArangoDB alone, after `record_origin_only_ack`. last_heartbeat:
    monotonic time at which the last successful heartbeat began. heartbeat_now: begin a heartbeat now. give_up: become
    diverged, since an acknowledged write cannot be applied.
    """

    @property
    def snapshot(self) -> Snapshot: ...
    @property
    def generation(self) -> int: ...
    @property
    def era(self) -> int: ...
    @property
    def may_read_target(self) -> bool: ...
    @property
    def own_lease_expired(self) -> bool: ...
    @property
    def last_heartbeat(self) -> float: ...
    def heartbeat_now(self) -> None: ...
    def record_origin_only_ack(self) -> None: ...
    def give_up(self, reason: str) -> None: ...
