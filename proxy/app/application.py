"""Composition of the proxy: makes every part, starts them in order, stops them in the opposite order.

Start: state directory, pools (PostgreSQL connects lazily), mirror (recovers the journal), lease (registers; the stages
are known), shadow, gateway, listeners. A start that fails leaves the registry as it was. Stop: no new requests, those
in flight are answered, the backlog drains for a while, the instance deregisters, the parts close. The journal keeps
what was not drained.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections.abc import Sequence
from typing import Final

import structlog

from proxy import __version__
from proxy.admin import AdminServer, create
from proxy.app.connections import Pools, open_pools, origin_upstream, service_upstreams
from proxy.app.lifetime import admin_server, started
from proxy.app.listening import DRAIN_SECONDS, listen
from proxy.app.promoted_store import LazyPromotedStore
from proxy.app.reverse_parts import start_reverse
from proxy.app.synchronous_store import SynchronousPromotedStore
from proxy.base import state_directory
from proxy.base.config import Settings
from proxy.base.spool import SpoolSpace
from proxy.capture import TransactionRegistry
from proxy.control import controller
from proxy.control.instance.ack_conditions import AckConditions
from proxy.control.instance.auto_rollback import AutoRollback
from proxy.control.instance.lease import Lease
from proxy.control.read_stats import Readings
from proxy.devserver.auto_flip import AutoFlip
from proxy.gateway.authorization import Credentials
from proxy.gateway.dispatcher import Dispatcher
from proxy.gateway.health import probe
from proxy.gateway.operation_reader import OperationReader
from proxy.gateway.own_account import OwnAccountWatch
from proxy.gateway.service_proxy import Services
from proxy.gateway.target_reads import TargetReads, worker_limit
from proxy.http import HttpLimits, Listener, Upstream
from proxy.isolation import Isolation
from proxy.model.in_flight import InFlight, Scope
from proxy.model.message import Handler
from proxy.operator.states import States
from proxy.rehearsal.assembly import rehearser_of
from proxy.replication.coverage_gaps import Gaps
from proxy.replication.mirror import Mirror
from proxy.reverse.canary import proved
from proxy.reverse.origin import OriginRequests
from proxy.shadow.bounds import Bound
from proxy.shadow.comparator import Shadow
from proxy.shadow.examples import Examples
from proxy.shadow.peer_lag import PeerLag
from proxy.shadow.result_store import ResultStore
from proxy.shadow.sampling_rules import SamplingRules
from proxy.shadow.shape_coverage import Coverage
from proxy.state.control_row import By
from proxy.stores.arango import ArangoStore
from proxy.stores.base import Store
from proxy.stores.postgres import PostgresStore

log = structlog.get_logger(__name__)

_OWN_CONNECTIONS: Final = 16  # to ArangoDB, for what Crossfade itself reads
_REVERSE_CONNECTIONS: Final = 4
# what worker processes import once
_IN_WORKERS: Final = (
    "proxy.stores.postgres.worker_queries",
    "proxy.shadow.pair_comparison",
    "proxy.shadow.recheck",
    "proxy.shadow.explain",
    "proxy.routing.query_facts",
    "proxy.capture.dispatch",
)


class Application:
    """One proxy. Use `async with`; `port` and `admin_port` are the bound ports."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.instance = state_directory.prepare(settings.state_dir)
        self._spool = state_directory.spool(settings.state_dir)
        self.flight = InFlight()
        self.readings = Readings()
        self.own_account = OwnAccountWatch(settings.origin_user)
        self._started = False

    async def __aenter__(self) -> Application:
        self._stack = await started(self._start)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _start(self, stack: contextlib.AsyncExitStack) -> None:
        """Start the parts in the order of their dependencies; the stack closes them in the opposite order."""
        settings = self.settings
        pools = await open_pools(stack, settings)
        self.database = pools.shared
        self.origin = self._upstream(stack, settings.origin_url, settings.origin_connections)
        reader = ArangoStore(self._upstream(stack, settings.origin_url, _OWN_CONNECTIONS), *settings.origin_account)
        admin = self._bind_admin(stack)
        await self._start_control(stack, pools, reader, admin)
        own = self._upstream(stack, settings.origin_url, _REVERSE_CONNECTIONS)
        self.reverse, self.reverse_backlog = start_reverse(
            stack, settings, pools, own, self.instance, lambda: self.lease.snapshot.has_reverse_mirror
        )
        await self._start_reads(stack, pools, reader)
        await self._start_gateway(stack)
        await admin.start()
        stack.push_async_callback(admin.close)
        self.admin_port = admin.port
        await self._start_listener(stack, reader)
        self._started = True

    def _upstream(self, stack: contextlib.AsyncExitStack, url: str, connections: int) -> Upstream:
        pool = origin_upstream(
            self.settings, url, connections, spool=self._spool, over=lambda: self.lease.snapshot.is_complete
        )
        stack.push_async_callback(pool.close)
        return pool

    def _bind_admin(self, stack: contextlib.AsyncExitStack) -> AdminServer:
        """Bind the admin listener, since the lease registers its address; it answers once all is started."""
        own = OriginRequests(self.origin, *self.settings.origin_account)
        canary = functools.partial(proved, self.database, own, self.instance)
        made = functools.partial(create, self.status, self.not_ready, self.trace, self.check, canary=canary)
        admin = admin_server(self.settings, made)
        admin.bind()
        stack.push_async_callback(admin.close)
        return admin

    async def _start_control(
        self, stack: contextlib.AsyncExitStack, pools: Pools, reader: ArangoStore, admin: AdminServer
    ) -> None:
        """Recover the journal, register, and learn the stages."""
        settings = self.settings
        self.lease = Lease(pools.lease, settings, self.instance, self._conditions(), admin_url=admin.url)
        self.mirror = Mirror(
            settings, pools.mirror, reader, self.instance, lambda: self.lease.era, self.flight.running_intents
        )
        await self.mirror.start()
        stack.push_async_callback(self.mirror.close)
        self._clean = self.mirror.backlog == 0
        stack.push_async_callback(self._leave)  # a start that fails after the registration undoes it
        await self.lease.start()
        await self.mirror.reports.start()
        stack.push_async_callback(self.mirror.reports.close)
        self.auto_rollback = AutoRollback(
            pools.lease, self.readings, lambda: self.lease.snapshot, instance=self.instance
        )
        await self.auto_rollback.start()
        stack.push_async_callback(self.auto_rollback.close)
        states = States(self.database)
        await states.start()
        stack.push_async_callback(states.close)
        stack.push_async_callback(self._drain)

    async def _start_reads(self, stack: contextlib.AsyncExitStack, pools: Pools, reader: ArangoStore) -> None:
        """Start the worker processes, PostgreSQL as a store, and the comparison of reads."""
        settings = self.settings
        isolation = Isolation(_IN_WORKERS)
        await isolation.start()
        stack.push_async_callback(isolation.close)
        self._reading = isolation.lane("reading", workers=settings.workers, waiting=256, nice=2)
        self.mirror.use_encoding_workers(self._reading)
        serving = isolation.lane("serving", workers=settings.workers, waiting=settings.workers, nice=4)
        self.target = PostgresStore(pools.reads, lane=serving, seconds=worker_limit(settings))
        stack.push_async_callback(self.target.close)
        compared = PostgresStore(pools.shadow)
        stack.push_async_callback(compared.close)
        bound = Bound()
        self.coverage = Coverage(self.database, bound=bound)
        await self.coverage.start()
        stack.push_async_callback(self.coverage.close)
        self.examples = Examples(self.database, settings)
        await self.examples.start()
        stack.push_async_callback(self.examples.close)
        ledger = ResultStore(self.database, settings)
        self.shadow = Shadow(
            settings,
            compared,
            reader,
            self.mirror.agreed,
            ledger,
            rules=SamplingRules(settings, self.database),
            fleet=PeerLag(self.database, self.instance),
            sinks=(self.coverage,),
            lane=isolation.lane("shadow", workers=settings.workers, waiting=1000, nice=5),
            explaining=isolation.lane("explaining", workers=1, waiting=4, nice=10),
            examples=self.examples,
            bound=bound,
        )
        await self.shadow.start()
        stack.push_async_callback(self.shadow.close)
        self.rehearser = rehearser_of(
            settings, self.instance, reader, self.database, pools.shadow, ledger, self.mirror.agreed
        )
        if self.rehearser is not None:
            await self.rehearser.start()
            stack.push_async_callback(self.rehearser.close)

    async def _start_gateway(self, stack: contextlib.AsyncExitStack) -> None:
        """Start what carries out a client's request."""
        settings = self.settings
        gaps = Gaps(self.database)
        await gaps.start()
        stack.push_async_callback(gaps.close)
        services = service_upstreams(stack, settings, spool=self._spool)
        credentials = Credentials(self.origin)
        stack.push_async_callback(credentials.close)
        serving = TargetReads(settings, self.target, self.lease, credentials, self.readings)
        await serving.start()
        stack.push_async_callback(serving.close)
        registry = TransactionRegistry(self.database, self.instance, lambda: self.mirror.recovered)
        await registry.start()
        stack.push_async_callback(registry.close)
        spools = SpoolSpace(self._spool)
        promoted = LazyPromotedStore(settings, spools, self.database)
        stack.push_async_callback(promoted.close)
        self.dispatcher = Dispatcher(
            settings,
            origin=self.origin,
            target=self.target,
            mirror=self.mirror,
            shadow=self.shadow,
            coverage=self.coverage,
            lease=self.lease,
            serving=serving,
            gaps=gaps,
            services=Services(services, forwarding=settings.service_forwarded),
            flight=self.flight,
            rollback=self._roll_back,
            registry=registry,
            promoted=SynchronousPromotedStore(promoted, self.reverse_backlog, self.reverse)
            if settings.reverse == "sync"
            else promoted,
            reader=OperationReader(
                settings.max_body, spools, in_memory=settings.max_buffered_body, whole=settings.max_query_body
            ),
            lane=self._reading,
            rehearser=self.rehearser,
        )
        stack.push_async_callback(self.dispatcher.close)

    async def _start_listener(self, stack: contextlib.AsyncExitStack, reader: ArangoStore) -> None:
        settings = self.settings
        limits = HttpLimits(buffer_body=settings.max_buffered_body, body=settings.max_body, whole_paths=b"/_")
        listener = Listener(
            self._handler(reader, self.target), host=settings.listen_host, port=settings.listen_port, limits=limits
        )
        await listen(listener)
        stack.push_async_callback(listener.close, DRAIN_SECONDS)
        self.port = listener.port

    async def _leave(self) -> None:
        await self.lease.close(failed=not self._started)

    def _handler(self, origin: Store, target: Store) -> Handler:
        """Return the dispatcher's handler; with `dev_auto_flip`, one that flips new collections first."""
        handle = self.own_account.watching(self.dispatcher.handle)
        if not self.settings.dev_auto_flip:
            return handle
        return AutoFlip(
            handle,
            settings=self.settings,
            database=self.database,
            mirror=self.mirror,
            origin=origin,
            target=target,
            lease=self.lease,
        ).handle

    def _conditions(self) -> AckConditions:
        """Return what the lease asks of this application."""
        flight = self.flight
        return AckConditions(
            backlog=self._backlog,
            lag_seconds=lambda: self.mirror.lag_seconds,
            uncaptured_pending=lambda scope: flight.count(flight.uncaptured, scope),
            origin_queries=lambda scope: flight.count(flight.queries, scope),
            unapplied=lambda scope: flight.older(scope, self.lease.generation) + self._backlog(scope),
            under_way=self._under_way,
            journal_clean=lambda: self._clean,
        )

    def _backlog(self, scope: Scope) -> int:
        """Return the number of open intents, without those whose writes are not answered yet."""
        if scope is None or any(name.endswith("/*") for name in scope):
            return max(0, self.mirror.backlog - self.flight.waiting(None))
        return max(0, sum(self.mirror.backlog_of(name) for name in scope) - self.flight.waiting(scope))

    def _under_way(self, scope: Scope) -> int:
        """Return the number of operations under way at ArangoDB, and of open intents."""
        open_intents = self.mirror.backlog if scope is None else sum(self.mirror.backlog_of(name) for name in scope)
        return self.flight.at_origin(scope) + open_intents

    async def _drain(self) -> None:
        """Wait for the backlog, with a limit: an instance that leaves with none can deregister."""
        limit = time.monotonic() + max(
            DRAIN_SECONDS, self.settings.lost_request_timeout + 5
        )  # a lost answer is pending for that long
        while self._started and self.mirror.backlog and time.monotonic() < limit:
            await asyncio.sleep(0.01)

    async def _roll_back(self, collections: Sequence[str], reason: str) -> None:
        snapshot = self.lease.snapshot
        names = [name for name in snapshot.collections if _matches(name, collections)]
        # those whose flip is in progress too: their epoch may be committed before the control row is locked
        waiting = [name for name in names if snapshot.policy(name).synchronous]
        await controller.rollback(
            self.database, waiting, actor=f"instance {self.instance}", reason=reason, by=By.INSTANCE
        )

    def not_ready(self) -> str | None:
        """Return None if traffic may come, else why not."""
        return None if hasattr(self, "dispatcher") else "still starting"

    def trace(self, collection: str, key: str) -> dict[str, object]:
        """Return what `/trace` answers: what this instance knows of one document."""
        return {"instance": self.instance, **self.mirror.trace(collection, key)}

    async def check(self) -> dict[str, object]:
        """Return what `/check` answers: asked before a change that needs every instance."""
        snapshot = self.lease.snapshot
        return {
            "instance": self.instance,
            "epoch": snapshot.epoch,
            "generation": snapshot.generation,
            "diverged": self.lease.diverged,
            "backlog": self.mirror.backlog,
            "lag_seconds": self.mirror.lag_seconds,
            "waits_for": self.mirror.waits_for,
            "own_account": self.own_account.figures(),
            "authentication": self.settings.authentication,
            **await probe(self.database, None if snapshot.is_complete else self.origin),
        }

    def status(self) -> dict[str, object]:
        """Return what `/status` and the live page show."""
        snapshot = self.lease.snapshot
        return {
            "instance": self.instance,
            "version": __version__,
            "epoch": snapshot.epoch,
            "generation": snapshot.generation,
            "phase": snapshot.phase.value,
            "may_read_target": self.lease.may_read_target,
            "diverged": self.lease.diverged,
            "control_plane": not self.lease.own_lease_expired,
            "backlog": self.mirror.backlog,
            "queued": self.mirror.queued,
            "lag_seconds": self.mirror.lag_seconds,
            "waits_for": self.mirror.waits_for,
            "auto_rollback": self.auto_rollback.figures(),
            "reverse": {**self.reverse.figures(), **self.reverse_backlog.figures()},
            "collections": {
                name: {
                    "stage": state.stage.value,
                    "weight": state.weight,
                    **self.shadow.figures(name),
                    "skipped": self.shadow.skips(name),
                }
                for name, state in sorted(snapshot.collections.items())
            },
        }


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(name == pattern or (pattern.endswith("/*") and name.startswith(pattern[:-1])) for pattern in patterns)
