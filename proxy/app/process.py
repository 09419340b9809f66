"""Runs an application until SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
from pathlib import Path
from typing import Final

import structlog
import uvloop

from proxy.app.application import Application
from proxy.app.complete_application import CompleteApplication, is_complete
from proxy.base.config import Settings

log = structlog.get_logger(__name__)

_COLLECT: Final = (10_000, 20, 50)  # objects of the first generation, and rounds, between garbage collections


async def serve(settings: Settings, *, ready: Path | None = None) -> None:
    """Run one proxy until SIGTERM or SIGINT. ready: a file to write once it listens: ports and process id."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    alone = settings.mode == "complete" or await is_complete(settings)
    async with CompleteApplication(settings) if alone else Application(settings) as application:
        _freeze_memory()
        log.info("listening", port=application.port, admin=application.admin_port, instance=application.instance)
        if ready is not None:
            text = f"{application.port} {application.admin_port} {os.getpid()}\n"
            ready.write_text(text, "utf-8")  # noqa: ASYNC240 - once, before the first client
        await stop.wait()
        log.info("stopping")


def _freeze_memory() -> None:
    """Exempt what lives after the start from garbage collection, so that it is not traversed while requests wait.

    A full collection of the modules alone takes tens of milliseconds, and a backlog in memory causes one again and
    again. Young objects are collected as before, though after more of them: nearly all are freed by reference counts.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT)


def run(settings: Settings) -> None:
    """Run `serve` on uvloop, and log from the level of the settings on. Blocks."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(level))
    uvloop.run(serve(settings))
