"""The status that commands report while PostgreSQL, with the control plane, is away: that of the local proxy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from proxy.base.arango_client import ask_instance
from proxy.base.config import Settings
from proxy.base.errors import UpstreamError


async def backlog(settings: Settings) -> tuple[str, ...]:
    """Return the local proxy's backlog and lag, or that it does not answer. PostgreSQL is not asked."""
    url = _url(settings)
    try:
        answer = await ask_instance(url, "/status", {})
    except UpstreamError as error:
        return (f"the proxy at {url} does not answer either: {error}",)
    return (
        f"{answer.get('instance', url)}: backlog {answer.get('backlog', '?')}, {answer.get('queued', '?')} of it in "
        f"memory, lag {float(answer.get('lag_seconds') or 0.0):.1f} s; the journal keeps it until PostgreSQL is back",
    )


async def rollback_advice(settings: Settings) -> tuple[str, ...]:
    """Return who answers reads now, and how to force a proxy onto ArangoDB, for a rollback without PostgreSQL."""
    url, folder = _url(settings), settings.state_dir
    try:
        answer = await ask_instance(url, "/status", {})
        here = f"{answer.get('instance', url)}: {reads(answer)}"
    except UpstreamError as error:
        here = f"the proxy at {url} does not answer: {error}"
    return (
        here,
        f"a proxy that cannot reach PostgreSQL reads from ArangoDB by itself after {3 * settings.lease:g} s at most. "
        "When PostgreSQL is back, `crossfade status` shows whether the flip holds, and this command undoes it",
        "to force it now, without PostgreSQL: on the machine of each proxy, run "
        f"`touch {folder.absolute() / 'origin-only'}` (in its CROSSFADE_STATE_DIR); it then reads from ArangoDB",
    )


def reads(answer: Mapping[str, Any]) -> str:
    """Return which database serves reads, according to a proxy's own status."""
    if answer.get("may_read_target"):
        return "reads may still come from PostgreSQL"
    return "reads come from ArangoDB already" + (", it is diverged" if answer.get("diverged") else "")


def _url(settings: Settings) -> str:
    return f"http://{settings.admin_host}:{settings.admin_port}"
