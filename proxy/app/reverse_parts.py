"""Starts what carries PostgreSQL's writes to ArangoDB, and what lets rights follow who takes the writes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from proxy.app.connections import Pools
from proxy.base.config import Settings
from proxy.complete.counts import CountFolding
from proxy.control.promotion.rights_keeper import RightsKeeper
from proxy.http import Upstream
from proxy.reverse import ReverseBacklog, ReverseMirror
from proxy.reverse.origin import OriginRequests


def start_reverse(
    stack: contextlib.AsyncExitStack,
    settings: Settings,
    pools: Pools,
    upstream: Upstream,
    instance: str,
    needed: Callable[[], bool],
) -> tuple[ReverseMirror, ReverseBacklog]:
    """Start them; the stack closes them. needed: whether PostgreSQL takes the writes of any collection."""
    backlog = ReverseBacklog(pools.shared, needed)
    backlog.start()
    stack.push_async_callback(backlog.close)
    mirror = ReverseMirror(
        pools.mirror,
        OriginRequests(upstream, *settings.origin_account),
        holder=instance,
        needed=needed,
        late_request=settings.lost_request_timeout,
    )
    mirror.start()
    stack.push_async_callback(mirror.close)
    for upkeep in (RightsKeeper(pools.shared, settings), CountFolding(pools.shared)):  # both outlive promotions
        upkeep.start()
        stack.push_async_callback(upkeep.close)
    return mirror, backlog
