"""Slow queries: which queries are remembered, and how running and slow ones are shown."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from proxy.devserver.store.state.running_query import RunningQuery
from proxy.devserver.store.state.server import ServerState

Document = dict[str, Any]
TRACKING: Final[Document] = {
    "enabled": True,
    "trackSlowQueries": True,
    "trackBindVars": True,
    "maxSlowQueries": 64,
    "slowQueryThreshold": 10,
    "slowStreamingQueryThreshold": 10,
    "maxQueryStringLength": 4096,
}


def remember(server: ServerState, running: RunningQuery, seconds: float, *, code: int, streaming: bool) -> None:
    """Remember a query that has ended if it was slow. code: the error's number, or 0."""
    settings = {**TRACKING, **server.settings.get(f"tracking of {running.database}", {})}
    threshold = settings["slowStreamingQueryThreshold" if streaming else "slowQueryThreshold"]
    if not (settings["enabled"] and settings["trackSlowQueries"]) or seconds < threshold:
        return
    slow = shown(running, seconds, "finished", bind=settings["trackBindVars"])
    slow["query"] = slow["query"][: settings["maxQueryStringLength"]]
    slow |= {"stream": streaming, "exitCode": code, "warnings": 0}
    own = [one for one in server.slow if one["database"] == running.database]
    others = [one for one in server.slow if one["database"] != running.database]
    server.slow = [*others, *[*own, slow][-int(settings["maxSlowQueries"]) or len(own) + 1 :]]


def moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def shown(running: RunningQuery, seconds: float, state: str, *, bind: bool = True) -> Document:
    return {
        "id": running.id,
        "database": running.database,
        "user": running.user,
        "query": running.query,
        "bindVars": running.bind_vars if bind else {},
        "started": moment(running.began),
        "runTime": seconds,
        "peakMemoryUsage": 0,
        "state": state,
        "stream": False,
        "modificationQuery": running.modifies,
    }
