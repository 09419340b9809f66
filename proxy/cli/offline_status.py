"""What can be said while PostgreSQL, and the control plane with it, is away: what the proxy of this machine says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from proxy.base.arango_client import ask_instance
from proxy.base.config import Settings
from proxy.base.errors import UpstreamError


async def tell(settings: Settings) -> tuple[str, ...]:
    """Its backlog and lag, or that it does not answer; nothing is asked of PostgreSQL."""
    url = _url(settings)
    try:
        said = await ask_instance(url, "/status", {})
    except UpstreamError as error:
        return (f"the proxy at {url} does not answer either: {error}",)
    backlog = (
        f"{said.get('instance', url)}: backlog {said.get('backlog', '?')}, {said.get('queued', '?')} of it in memory, "
        f"lag {float(said.get('lag_seconds') or 0.0):.1f} s; the journal keeps it until PostgreSQL is back"
    )
    return (backlog,)


async def no_way_back_needed(settings: Settings) -> tuple[str, ...]:
    """For somebody who wants reads back from a PostgreSQL that is away: who answers them now, and how to force it."""
    url, folder = _url(settings), settings.state_dir
    try:
        said = await ask_instance(url, "/status", {})
        here = f"{said.get('instance', url)}: {reads(said)}"
    except UpstreamError as error:
        here = f"the proxy at {url} does not answer: {error}"
    return (
        here,
        f"a proxy that cannot reach PostgreSQL answers from ArangoDB by itself after {3 * settings.lease:g} s at most; "
        "once PostgreSQL is back, `crossfade status` says whether the flip stands, and this command undoes it",
        "where PostgreSQL is away from this machine alone, or you do not want to wait: on the machine of each proxy "
        f"`touch {folder.absolute() / 'origin-only'}` (its CROSSFADE_STATE_DIR) makes it read from ArangoDB at once, "
        "and needs no PostgreSQL",
    )


def reads(said: Mapping[str, Any]) -> str:
    """Where reads come from, by what the proxy says of itself."""
    if said.get("may_read_target"):
        return "reads may still come from PostgreSQL"
    return "reads come from ArangoDB already" + (", it is diverged" if said.get("diverged") else "")


def _url(settings: Settings) -> str:
    return f"http://{settings.admin_host}:{settings.admin_port}"
