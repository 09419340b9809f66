"""Handlers of the scripted server."""

from __future__ import annotations

import asyncio

from proxy.model.message import Request

GET = Request("GET", b"/x")


async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send nothing until the other side disconnects."""
    await reader.read()
