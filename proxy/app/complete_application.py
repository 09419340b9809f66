"""Composition of a proxy that answers from PostgreSQL alone: it has no journal, no mirror and no comparison.

Start: state directory, pools, schema and collections checked, the store and its catalog, listeners. PostgreSQL must
answer at the start: nothing else could. No connection to ArangoDB is opened.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from typing import Final

import structlog

import sql
from proxy import __version__
from proxy.admin import create
from proxy.app.complete_handler import CompleteHandler
from proxy.app.connections import open_complete_pools, service_upstreams
from proxy.app.lifetime import admin_server, started
from proxy.app.listening import DRAIN_SECONDS, listen
from proxy.base import state_directory
from proxy.base.config import Settings
from proxy.base.database import Database
from proxy.base.errors import ConfigurationError, DatabaseError
from proxy.base.periodic import Periodic
from proxy.base.spool import SpoolSpace
from proxy.base.supervise import cancelled, supervise
from proxy.base.token_secret import token_secret
from proxy.complete import CompleteStore, TransactionLimits
from proxy.complete.counts import CountFolding
from proxy.complete.expiry import Expiry
from proxy.complete.query_indexes import QueryIndexes
from proxy.gateway.health import target_failure
from proxy.gateway.operation_reader import OperationReader
from proxy.gateway.service_proxy import Services
from proxy.http import HttpLimits, Listener
from proxy.operator.migrate import require_migrated
from proxy.replication.failover_detector import FailoverDetector
from proxy.replication.target_writer import TargetWriter
from proxy.replication.tombstone_gc import Purger

log = structlog.get_logger(__name__)

_NAMED: Final = 5  # collections in a message
_LOOK: Final = 5.0  # seconds for the look whether everything is complete


class CompleteApplication:
    """One proxy over PostgreSQL alone. Use `async with`; `port` and `admin_port` are the bound ports."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.instance = state_directory.prepare(settings.state_dir)
        self._spool = state_directory.spool(settings.state_dir)
        self._spools = SpoolSpace(self._spool)
        self._started = False
        self._since = time.time()

    async def __aenter__(self) -> CompleteApplication:
        self._stack = await started(self._start)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _start(self, stack: contextlib.AsyncExitStack) -> None:
        """Start the parts in the order of their dependencies; the stack closes them in the opposite order."""
        settings = self.settings
        pools = await open_complete_pools(stack, settings)
        self.database = pools.shared
        await require_migrated(self.database)
        await require_complete(self.database)
        password = settings.root_password.get_secret_value() if settings.authentication else None
        transactions = TransactionLimits(settings.stream_transactions, total=settings.stream_transaction_seconds)
        secret = token_secret(settings)
        self.store = CompleteStore(
            pools.store, root_password=password, secret=secret, transactions=transactions, spools=self._spools
        )
        stack.push_async_callback(self.store.close)
        await self.store.start()
        detector = FailoverDetector(pools.shared, self.instance)
        watch = asyncio.create_task(supervise(detector.run, "failover"), name="failover")
        stack.push_async_callback(cancelled, watch)
        purger = Purger(pools.shared, TargetWriter(pools.shared, self.instance), settings.tombstone_seconds)
        for upkeep in (
            Expiry(pools.shared),
            CountFolding(pools.shared),
            QueryIndexes(pools.maintenance),
            Periodic(purger.purge, "tombstones", purger.interval),
        ):
            upkeep.start()
            stack.push_async_callback(upkeep.close)
        services = Services(
            service_upstreams(stack, settings, spool=self._spool), forwarding=settings.service_forwarded
        )
        await self._start_admin(stack)
        limits = HttpLimits(buffer_body=settings.max_buffered_body, body=settings.max_body, whole_paths=b"/_")
        reader = OperationReader(
            settings.max_body, self._spools, in_memory=settings.max_buffered_body, whole=settings.max_query_body
        )
        handler = CompleteHandler(self.store, services, reader)
        listener = Listener(handler, host=settings.listen_host, port=settings.listen_port, limits=limits)
        await listen(listener)
        stack.push_async_callback(listener.close, DRAIN_SECONDS)
        self.port = listener.port
        self._started = True

    async def _start_admin(self, stack: contextlib.AsyncExitStack) -> None:
        admin = admin_server(self.settings, functools.partial(create, self.status, self.not_ready, check=self.check))
        await admin.start()
        stack.push_async_callback(admin.close)
        self.admin_port = admin.port

    def not_ready(self) -> str | None:
        """Return None if traffic may come, else why not."""
        return None if self._started else "still starting"

    async def check(self) -> dict[str, object]:
        """Return what `/check` answers."""
        return {"instance": self.instance, "mode": "complete", "postgresql": await target_failure(self.database)}

    def status(self) -> dict[str, object]:
        """Return what `/status` and the live page show."""
        return {
            "instance": self.instance,
            "version": __version__,
            "mode": "complete",
            "uptime_seconds": time.time() - self._since,
            "authentication": self.settings.authentication,
        }


async def is_complete(settings: Settings) -> bool:
    """Return True if every collection is complete: then a proxy needs no ArangoDB, whatever its mode is.

    False if PostgreSQL does not tell: a proxy that was told before remembers it.
    """
    try:
        database = await Database.open(settings.postgresql_dsn, size=1, timeout=_LOOK, application="crossfade start")
    except DatabaseError:
        return False
    try:
        found = await database.fetchval(sql.startup.COMPLETE)
    except DatabaseError:  # also of a schema that is older or not there: the proxy itself says what to do
        return False
    finally:
        await database.close()
    if found:
        log.info("mode_complete", reason="every collection is complete")
    return found


async def require_complete(database: Database) -> None:
    """Raise ConfigurationError, with names, if ArangoDB takes the writes of a collection; DatabaseError."""
    held = await database.fetch(sql.startup.HELD_BY_ORIGIN)
    if held:
        names = ", ".join(held[:_NAMED]) + (f" and {len(held) - _NAMED} more" if len(held) > _NAMED else "")
        raise ConfigurationError(
            f"mode `complete` needs every collection in PostgreSQL, and ArangoDB takes the writes of {names}: set "
            "CROSSFADE_MODE=migration until all of them are promoted"
        )
