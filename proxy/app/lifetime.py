"""What both kinds of proxies start alike: parts in the order of their dependencies, and the admin listener."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from proxy.admin import AdminServer
from proxy.base.config import Settings


async def started(start: Callable[[contextlib.AsyncExitStack], Awaitable[None]]) -> contextlib.AsyncExitStack:
    """Return the stack that closes, in the opposite order, what `start` has started; if that fails, it is closed."""
    stack = contextlib.AsyncExitStack()
    try:
        await start(stack)
    except BaseException:
        await stack.aclose()
        raise
    return stack


def admin_server(settings: Settings, make: Callable[..., Any]) -> AdminServer:
    """Return the admin listener, not yet bound. make: `proxy.admin.create` with all arguments but `hosts`."""
    names = (settings.admin_host, settings.admin_advertise, *settings.admin_names)
    return AdminServer(make(hosts=names), settings.admin_host, settings.admin_port, advertise=settings.admin_advertise)
