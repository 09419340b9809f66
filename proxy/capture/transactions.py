"""Stream transactions: begin, writes inside, commit and abort (mirror-protocol, 7).

What they write is kept until they have ended, and then applied as one (`open_transactions`). How a write is carried out
inside of one, its kind defines (`capture.kinds`).

What a process began it knows, with writes or without: a commit of its own transaction that wrote nothing here is a
commit like any other. Of others `transaction_registry` knows. One that came through no proxy may have written anything:
if something is flipped its commit is refused, else the database gets a mark after it.

A transaction is its user's, and ArangoDB says who that is: what it refuses changes nothing of what is kept here.

What is not captured in it leaves its mark with the commit: a verification before that cannot see it. If it may run
outside of the transaction, it leaves one immediately as well.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from proxy.base import failpoints
from proxy.base.errors import ArangoError, UpstreamError, UpstreamUnavailable
from proxy.capture import opaque, transaction_plan
from proxy.capture.attempt import Undo
from proxy.capture.bodies import collect
from proxy.capture.context import WriteContext
from proxy.capture.open_transactions import OpenTransaction, OpenTransactions
from proxy.capture.outcomes import NOTHING_WRITTEN, UNKNOWN
from proxy.capture.refusals import not_begun
from proxy.capture.transaction_registry import NOTED, KnownTransaction, Name, TransactionRegistry
from proxy.journal.intent import Intent
from proxy.journal.records import OpaqueWrite
from proxy.model.endpoint import Verb
from proxy.model.message import Request, Response
from proxy.model.operations import Operation
from proxy.model.stages import Stage
from proxy.replication.coverage_gaps import Uncovered
from proxy.routing.route import Route
from proxy.routing.scope import captured_only

_UNSEEN: Final = "commit of a transaction without its writes"
_BEFORE: Final = "written in a transaction before it was mirrored"
_MOST: Final = 10_000  # transactions that are known at a time; more are opaque
_AGAIN: Final = 0.1  # seconds between two questions to the registry

CarryOut = Callable[[Request, Operation, Route, transaction_plan.Buffer], Awaitable[Response]]


class Transactions:
    """Carries out their requests; `close` it."""

    def __init__(self, context: WriteContext, registry: TransactionRegistry) -> None:
        self._context = context
        self._registry = registry
        self._open = OpenTransactions(context, registry)

    async def close(self) -> None:
        """Stop asking for their states. What was written is in the journal."""
        await self._open.close()

    def wrote(self, operation: Operation) -> bool:
        """Return True if a request's transaction has written here, or may have."""
        known = self._open.get((operation.database, operation.headers.get("x-arango-trx-id", "")))
        return known is not None and not (known.buffer.empty and not known.uncaptured)

    # ---- begin, commit, abort

    async def begin(self, request: Request, operation: Operation) -> Response:
        """Forward, and remember a transaction that began. Raise UpstreamError."""
        context, every = self._context, (f"{operation.database}/*",)
        with context.flight.track(context.flight.uncaptured, every, context.generation):  # until it is known
            response, body = await self._forwarded(request)
            number, _ = transaction_plan.state(body)
            if response.status == 201 and number and len(self._open) < _MOST:
                name = (operation.database, number)
                known = self._open.remember(name, request)
                known.buffer.declared = transaction_plan.declared(operation.body, operation.database)
                known.own = True
                self._registry.begun(name)
                failpoints.reach("transaction-begun")
        return response

    async def end(self, request: Request, operation: Operation, route: Route) -> Response:
        """Carry out a commit or an abort. Raise ArangoError 1655 if a flipped collection would miss what is committed.

        Raise UpstreamError.
        """
        context, name = self._context, (operation.database, operation.path[2])
        known = self._open.get(name)
        if operation.endpoint.verb is not Verb.COMMIT:
            if known is not None:
                return await self._ends(request, name, known, route, commit=False)
            return (await self._forwarded(request))[0]
        if known is None and not await self._open.runs(request, name):
            return (await self._forwarded(request))[0]  # it has ended: nothing is committed any more
        found: KnownTransaction | None = None
        if any(map(context.flipped, route.collections)):
            found = await self._looked_up(name, known)
            if found is not None and not found.harmless and (known is None or found.elsewhere or found.lost):
                raise ArangoError(
                    1655, f"transaction '{name[1]}' not found: its writes did not come through this proxy", status=404
                )
            if found is not None and known is None:
                return (await self._forwarded(request))[0]
        if known is None:
            return await self._of_others(request, name, route)
        empty = known.buffer.empty and bool(captured_only(context.lease.snapshot, known.buffer.declared))
        unseen = found is None and (empty or not known.own)  # others may have taken writes of it
        return await self._ends(request, name, known, route, commit=True, unseen=unseen)

    async def _looked_up(self, name: Name, known: OpenTransaction | None) -> KnownTransaction | None:
        """Return what the other proxies know of it; None if no read goes to PostgreSQL because of this instance."""
        until = time.monotonic() + (NOTED if known is None else 0.0)
        while True:
            found = await self._context.wait_for_replica(self._registry.find(name))
            if found is None or found.begun or time.monotonic() >= until:
                return found
            await asyncio.sleep(_AGAIN)

    async def _of_others(self, request: Request, name: Name, route: Route) -> Response:
        """Commit what this process does not know; whether it wrote is asked of the others afterwards."""
        collections = route.collections
        async with self._context.write(undo=Undo(collections, _UNSEEN), counted=False, continues=True) as attempt:
            attempt.intend_change(OpaqueWrite(_UNSEEN, collections))
            response, body = await attempt.forward(request)
            if response.status == 200 or (response.status >= 500 and not not_begun(response.status, body)):
                self._ask_others(name, attempt.hand_over())
            else:
                await attempt.conclude(NOTHING_WRITTEN)
        return response

    def _ask_others(self, name: Name, unseen: tuple[Intent, ...], *, own: bool = False) -> None:
        """Ask without waiting: until they answer the intents are open, and no flip begins."""
        mirror = self._context.mirror

        def answered(found: KnownTransaction) -> None:
            seen = (own or found.begun) and not found.lost  # another process that wrote in it sees its end
            if not seen:
                self._context.gaps.add(name[0], f"{name[0]}/*", "transaction.commit", Uncovered.WRITE, _UNSEEN)
            for intent in unseen:
                (mirror.close_intent if seen else mirror.mark)(intent)

        self._registry.ask(name, answered)

    async def _ends(
        self, request: Request, name: Name, known: OpenTransaction, route: Route, *, commit: bool, unseen: bool = False
    ) -> Response:
        """Forward the end of one that this process knows. unseen: others may have written in it, too."""
        context, flight = self._context, self._context.flight
        async with context.write(counted=False, continues=True) as attempt:
            if unseen:
                attempt.intend_change(OpaqueWrite(_UNSEEN, route.collections))
            before = captured_only(context.lease.snapshot, known.uncaptured) if commit else ()
            if before:  # written through this proxy while nothing was captured
                known.buffer.keep([context.mirror.intend_change(OpaqueWrite(_BEFORE, before))])
                known.buffer.undo(before, _BEFORE)
            known.busy += 1
            failpoints.reach("before-commit")
            self._open.end_asked(known)
            intents = known.buffer.intents
            with flight.track(
                flight.captured,
                route.collections,
                context.generation,
                left=lambda: [intent.collection for intent in intents if context.mirror.is_open(intent)],
            ):
                try:
                    response, body = await attempt.forward(request)
                except UpstreamUnavailable:
                    raise
                except UpstreamError:
                    if commit:
                        await self._open.roll_back_flips(known)
                    raise
                finally:  # a lost answer: its state is asked for
                    known.busy -= 1
                    known.used = 0.0
                    self._open.watch()
                if response.status == 200:
                    failpoints.reach("after-commit")
                    if commit:
                        await self._open.roll_back_flips(known)
                    ended = self._open.ended(name, "committed" if commit else "aborted")
                    if unseen:
                        self._ask_others(name, attempt.hand_over(), own=known.own)
                    if commit:
                        await context.applied(ended)
                else:
                    refused = response.status < 500 or not_begun(response.status, body)
                    await attempt.conclude(NOTHING_WRITTEN if refused else UNKNOWN)
                    await self._open.ask(name, known)
        return response

    async def _forwarded(self, request: Request) -> tuple[Response, bytes]:
        response = await self._context.origin.request(request)
        response.body = body = await collect(response.body)
        return response, body

    # ---- writes

    def uncaptured(self, operation: Operation, route: Route) -> None:
        """Note a write in a transaction that is forwarded as it is, since nothing that it may touch is mirrored yet."""
        name = operation.database, operation.headers["x-arango-trx-id"]
        known = self._open.get(name)
        if known is not None:
            known.uncaptured.update(route.writes)
        elif self._context.lease.snapshot.database_has(operation.database, Stage.MIRROR):
            self._registry.wrote(name, lost=True)

    async def write(self, request: Request, operation: Operation, route: Route, carry_out: CarryOut) -> Response:
        """Carry out a write inside of a transaction, of any kind; perhaps one that is not captured.

        carry_out: does so, with the buffer of the transaction. Raise UpstreamError.
        """
        context, name = self._context, (operation.database, operation.headers["x-arango-trx-id"])
        new = self._open.get(name) is None
        if new and len(self._open) >= _MOST:
            return await opaque.forward(context, request, operation, route.with_reason("too many transactions"))
        known = self._open.remember(name, request)
        known.busy += 1
        try:
            waits = any(map(context.flipped, route.collections))
            noted = self._registry.wrote(name, soon=waits)
            if waits:  # a commit through another proxy must find it
                await context.wait_for_replica(asyncio.shield(noted))
            response = await carry_out(request, operation, route, known.buffer)
        finally:
            known.busy -= 1
            known.used = time.monotonic()
        if response.status < 400:
            known.headers, known.asked_for = request.credentials(), known.used
        elif new and known.buffer.empty and self._open.get(name) is known and not known.busy:
            self._open.forget(name)  # there is no such transaction, or it is another user's
        return response
