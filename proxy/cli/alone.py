"""What the proxy of this machine says of itself while PostgreSQL, and with it the control plane, is away."""

from __future__ import annotations

import typer

from proxy.client import ask_instance
from proxy.config import Settings
from proxy.errors import UpstreamError


async def tell(settings: Settings) -> None:
    """Prints its backlog and lag, or that it does not answer; nothing is asked of PostgreSQL."""
    url = f"http://{settings.admin_host}:{settings.admin_port}"
    try:
        said = await ask_instance(url, "/status", {})
    except UpstreamError as error:
        typer.echo(f"the proxy at {url} does not answer either: {error}")
        return
    typer.echo(
        f"{said.get('instance', url)}: backlog {said.get('backlog', '?')}, {said.get('queued', '?')} of it in memory, "
        f"lag {float(said.get('lag_seconds') or 0.0):.1f} s; the journal keeps it until PostgreSQL is back"
    )
