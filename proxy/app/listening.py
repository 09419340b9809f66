"""Starts the traffic listener."""

from __future__ import annotations

from typing import Final

from proxy.base.errors import ConfigurationError
from proxy.http import Listener

DRAIN_SECONDS: Final = 10.0  # for requests in progress when a proxy stops


async def listen(listener: Listener) -> None:
    """Start the listener. Raise ConfigurationError if its address is not available."""
    try:
        await listener.start()
    except OSError as error:
        raise ConfigurationError(
            f"the proxy cannot listen on {listener.host}:{listener.port} ({error.strerror or error}): set "
            "CROSSFADE_LISTEN_PORT to a free port, or CROSSFADE_LISTEN_HOST to an address of this machine"
        ) from error
