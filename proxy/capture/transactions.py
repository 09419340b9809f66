"""Stream transactions: what they write is kept until they have ended, and then applied as one (mirror-protocol, 7).

The intents stay open until the transaction was seen to have ended: by the answer to its commit or abort, or, where
that was lost or went through another proxy, by asking for its state, with the credentials of the client that began it.

A flip does not wait for transactions to end. While one runs, its intents are no backlog: nobody sees what it wrote. But
its commit may have gone through a proxy that does not know its writes; from `begin` on, none forwards one like that.
So in `drain`, when all behave by that, each transaction's state is asked for once: one that still runs can be committed
here only, and then both stores have it before the answer (flight.Flight.older).

What a process began it knows, writes or none: a commit of an own transaction that wrote nothing here is a commit like
any other. Of others `registry` tells. One that came through no proxy may have written anything: where something is
flipped its commit is refused, elsewhere the database is marked behind it.

A transaction is its user's, and ArangoDB says who that is: what it refuses changes nothing of what is kept here, and
its state is asked for with the credentials that it took last.

What is not captured in it leaves its mark with the commit: what is verified before that cannot see it. Where it may run
outside of the transaction, it leaves one at once as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

import structlog

from proxy.base import failpoints
from proxy.base.errors import ArangoError, UpstreamError, UpstreamUnavailable, error_label
from proxy.base.supervise import cancelled
from proxy.capture import in_transactions, opaque, transaction_plan
from proxy.capture.answers import Opaque, settle_gently
from proxy.capture.answers import plan as plan_write
from proxy.capture.aql import Modifications
from proxy.capture.context import WriteContext, collect
from proxy.capture.refusals import not_begun, wrote_nothing
from proxy.capture.transaction_plan import Buffer
from proxy.capture.transaction_registry import NOTED, Found, Name, TransactionRegistry
from proxy.journal.intent import Intent
from proxy.journal.records import CollectionChange, OpaqueWrite
from proxy.model.endpoint import Capture, InTransaction, Verb
from proxy.model.in_flight import Ticket
from proxy.model.message import Headers, Request, Response
from proxy.model.operations import Operation
from proxy.model.stages import Phase, Stage
from proxy.replication.coverage_gaps import Uncovered
from proxy.routing.route import Action, Route
from proxy.routing.scope import captured_only

log = structlog.get_logger(__name__)

_UNSEEN = "commit of a transaction without its writes"
_BEFORE = "written in a transaction before it was mirrored"
_MOST = 10_000  # transactions that are known at a time; more are opaque
_LOOK = 0.1  # seconds between looks at those that nobody uses
_IDLE = 5.0  # seconds without a request after which the origin is asked whether it still runs
_OVER = 150.0  # seconds without one after which it runs no more, whatever the origin says: its own limit is 120


@dataclass(slots=True)
class _Open:
    buffer: Buffer
    database: str
    headers: Headers  # to ask with
    used: float
    asked_for: float  # when a client last did something in it
    busy: int = 0  # requests under way
    own: bool = False  # begun through this process
    uncaptured: set[str] = field(default_factory=set)  # what it may have written that nobody captured
    token: Ticket | None = None  # that it runs; None once its end was asked for

    def left(self) -> list[str]:
        """Its intents, by collection: all of them are open while it runs."""
        return [intent.collection for intent in self.buffer.intents]


def _credentials(request: Request) -> Headers:
    return [pair for pair in request.headers if pair[0].lower() == b"authorization"]


class Transactions:
    """Those that run, by (database, id). `start` and `close` own the task that asks for their states."""

    def __init__(self, kit: WriteContext, modifications: Modifications, registry: TransactionRegistry) -> None:
        self._kit = kit
        self._modifications = modifications
        self._registry = registry
        self._open: dict[tuple[str, str], _Open] = {}
        self._task: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Stops asking. What was written is in the journal."""
        if self._task is not None:
            await cancelled(self._task)
            self._task = None

    def wrote(self, operation: Operation) -> bool:
        """Whether a request's transaction is known to have written here, or may have."""
        known = self._open.get((operation.database, operation.headers.get("x-arango-trx-id", "")))
        return known is not None and not (known.buffer.empty and not known.uncaptured)

    # ---- begin, commit, abort

    async def begin(self, request: Request, operation: Operation) -> Response:
        """Forwards, and remembers a transaction that began."""
        response = await self._kit.origin.request(request)
        body = await collect(response.body)
        number, _ = transaction_plan.state(body)
        if response.status == 201 and number and len(self._open) < _MOST:
            known = self._remember(operation.database, number, request)
            known.buffer.declared = transaction_plan.declared(operation.body, operation.database)
            known.own = True
            self._registry.begun((operation.database, number))
            failpoints.reach("transaction-begun")
        return Response(response.status, response.headers, body, response.reason)

    async def end(self, request: Request, operation: Operation, way: Route) -> Response:
        """A commit or an abort. Raises ArangoError 1655 where a flipped collection would miss what is committed."""
        kit, name = self._kit, (operation.database, operation.path[2])
        known = self._open.get(name)
        if operation.endpoint.verb is not Verb.COMMIT:
            return await self._ends(request, name, known, way) if known else await self._forwarded(request)
        if known is None and not await self._runs(request, *name):
            return await self._forwarded(request)  # it has ended: nothing is committed any more
        found: Found | None = None
        if any(map(kit.flipped, way.collections)):
            found = await self._looked_up(name, known)
            if found is not None and not found.harmless and (known is None or found.elsewhere or found.lost):
                raise ArangoError(
                    1655, f"transaction '{name[1]}' not found: its writes did not come through this proxy", status=404
                )
            if found is not None and known is None:
                return await self._forwarded(request)
        if known is None:
            return await self._judged(request, name, way)
        empty = known.buffer.empty and bool(captured_only(kit.lease.snapshot, known.buffer.declared))
        if found is None and (empty or not known.own):  # others may have taken writes of it
            left = kit.mirror.intend_change(OpaqueWrite(_UNSEEN, way.collections))
            return await self._ends(request, name, known, way, left)
        return await self._ends(request, name, known, way)

    async def _looked_up(self, name: Name, known: _Open | None) -> Found | None:
        """What the other proxies know of it; None where nobody reads PostgreSQL because of this instance."""
        until = time.monotonic() + (NOTED if known is None else 0.0)
        while True:
            found = await self._kit.wait_for_replica(self._registry.look(name))
            if found is None or found.begun or time.monotonic() >= until:
                return found
            await asyncio.sleep(_LOOK)

    async def _judged(self, request: Request, name: Name, way: Route) -> Response:
        """Commits what this process does not know; whether it wrote is asked of the others afterwards."""
        kit, collections = self._kit, way.collections
        left = kit.mirror.intend_change(OpaqueWrite(_UNSEEN, collections))
        response = await kit.forward(request, left, undoes=(collections, _UNSEEN))
        if response.status == 200 or (response.status >= 500 and not not_begun(response.status, response.body)):
            self._ask_others(name, left, collections)
        else:
            kit.mirror.close_intent(left)
        return response

    def _ask_others(self, name: Name, left: Intent, collections: tuple[str, ...], *, own: bool = False) -> None:
        """Nobody waits for what they say: until then the intent is open, and no flip begins."""

        def tell(found: Found) -> None:
            if (own or found.begun) and not found.lost:  # another process that wrote in it sees its end
                self._kit.mirror.close_intent(left)
            else:
                database = name[0]
                self._kit.gaps.add(database, f"{database}/*", "transaction.commit", Uncovered.WRITE, _UNSEEN)
                self._kit.mirror.mark(left)

        self._registry.ask(name, tell)

    async def _ends(
        self, request: Request, name: Name, known: _Open, way: Route, left: Intent | None = None
    ) -> Response:
        """Forwards the end of one that this process knows. left: of what others may have written in it."""
        kit, commit = self._kit, request.method == "PUT"
        before = captured_only(kit.lease.snapshot, known.uncaptured) if commit else ()
        if before:  # written through this proxy while nobody captured it
            known.buffer.keep([kit.mirror.intend_change(OpaqueWrite(_BEFORE, before))])
            known.buffer.undo(before, _BEFORE)
        known.busy += 1
        failpoints.reach("before-commit")
        self._stopped(known)  # from here on it is a write under way, and its intents are as those of any other
        flight, intents = kit.flight, known.buffer.intents
        with flight.during(
            flight.captured,
            way.collections,
            kit.lease.generation,
            left=lambda: [intent.collection for intent in intents if kit.mirror.is_open(intent)],
        ):
            try:
                response = await kit.forward(request, *([left] if left is not None else ()))
            except UpstreamUnavailable:
                raise
            except UpstreamError:
                await self._undone(known.buffer, commit=commit)
                raise
            finally:  # a lost answer: its state is asked for
                known.busy -= 1
                known.used = 0.0
                self._watch()
            if response.status == 200:
                failpoints.reach("after-commit")
                await self._undone(known.buffer, commit=commit)
                ended = self._ended(name, "committed" if commit else "aborted")
                if left is not None:
                    self._ask_others(name, left, way.collections, own=known.own)
                if commit:
                    await kit.applied(ended)
            else:
                refused = response.status < 500 or not_begun(response.status, response.body)
                if left is not None:
                    (kit.mirror.close_intent if refused else kit.mirror.lost)(left)
                await self._ask(name, known)
        return response

    async def _undone(self, buffer: Buffer, *, commit: bool) -> None:
        """Behind a commit that was carried out, or may have been: flips that it leaves nothing to stand on."""
        for collection, reason in tuple(buffer.undoes.items()) if commit else ():
            await self._kit.roll_back((collection,), reason)

    def _stopped(self, known: _Open) -> None:
        if known.token is not None:
            self._kit.flight.running.discard(known.token)
            known.token = None

    def _let_go(self, name: tuple[str, str]) -> _Open | None:
        known = self._open.pop(name, None)
        if known is not None:
            self._stopped(known)
            self._registry.over(name)
        return known

    async def _forwarded(self, request: Request) -> Response:
        response = await self._kit.origin.request(request)
        return Response(response.status, response.headers, await collect(response.body), response.reason)

    def _remember(self, database: str, number: str, request: Request) -> _Open:
        known = self._open.get((database, number))
        if known is None:
            now = time.monotonic()
            known = self._open[database, number] = _Open(Buffer(), database, _credentials(request), now, now)
            self._goes_on(known, 0)  # the generation is that of a look, and there was none yet
            self._watch()
        return known

    def _goes_on(self, known: _Open, generation: int) -> None:
        """It runs, by a look of that generation."""
        if known.token is None:
            every = (f"{known.database}/*",)
            known.token = Ticket(every, generation, lambda: False, known.left, known.buffer.numbers)
            self._kit.flight.running.add(known.token)
        known.token.generation = generation

    # ---- writes

    def uncaptured(self, operation: Operation, way: Route) -> None:
        """A write in a transaction that is forwarded as it is, since nothing that it may touch is mirrored yet."""
        name = operation.database, operation.headers["x-arango-trx-id"]
        known = self._open.get(name)
        if known is not None:
            known.uncaptured.update(way.writes)
        elif self._kit.lease.snapshot.database_has(operation.database, Stage.MIRROR):
            self._registry.wrote(name, lost=True)

    async def write(self, request: Request, operation: Operation, way: Route) -> Response:
        """A write inside of a transaction, of any kind; perhaps one that is not captured."""
        name = operation.database, operation.headers["x-arango-trx-id"]
        if name not in self._open and len(self._open) >= _MOST:
            return await opaque.forward(self._kit, request, operation, way.because("too many transactions"))
        new = name not in self._open
        known = self._remember(*name, request)
        known.busy += 1
        try:
            waits = any(map(self._kit.flipped, way.collections))
            noted = self._registry.wrote(name, soon=waits)
            if waits:  # a commit through another proxy must find it
                await self._kit.wait_for_replica(asyncio.shield(noted))
            if way.action is Action.OPAQUE:
                apart = operation.endpoint.in_transaction is not InTransaction.PART
                response = await opaque.forward(self._kit, request, operation, way, known.buffer, apart=apart)
            elif operation.endpoint.capture is Capture.AQL:
                response = await self._modifications.capture(request, operation, way, known.buffer)
            elif operation.endpoint.capture is Capture.COLLECTION:
                response = await self._truncate(request, operation, way, known.buffer)
            elif operation.endpoint.capture is not Capture.DOCUMENT:
                response = await in_transactions.capture(self._kit, request, operation, way, known.buffer)
            else:
                response = await self._document(request, operation, way, known.buffer)
        finally:
            known.busy -= 1
            known.used = time.monotonic()
        if response.status < 400:
            known.headers, known.asked_for = _credentials(request), known.used
        elif new and known.buffer.empty and self._open.get(name) is known and not known.busy:
            self._let_go(name)  # there is no such transaction, or it is another user's
        return response

    async def _document(self, request: Request, operation: Operation, way: Route, buffer: Buffer) -> Response:
        unread = Opaque("a body that could not be read in time", way.collections)
        reading = functools.partial(plan_write, transaction=True)
        size = len(operation.body) if operation.body[:1] == b"[" else 0  # one document is faster passed over than sent
        planned = await self._kit.read(reading, operation, size=size, odd=unread)
        if isinstance(planned, Opaque):
            return await opaque.forward(self._kit, request, operation, way.because(planned.reason), buffer)
        intent = self._kit.mirror.intend(way.collections[0], planned.keys, revised=not planned.removes)
        failpoints.reach("after-intend")
        response = await self._sent(planned.rewritten(request), intent, buffer)
        failpoints.reach("transaction-wrote")
        body = await collect(response.body)
        try:
            captured = await settle_gently(planned, response.status, response.headers, body)
        except ValueError as error:
            log.warning(
                "an answer of the origin was not understood", error=error_label(error), collection=way.collections[0]
            )
            buffer.keep([intent])
            return Response(response.status, response.headers, body, response.reason)
        if captured.complete and not captured.changes:
            self._kit.mirror.close_intent(intent)
        else:
            self._kit.mirror.learn(intent, [change.key for change in captured.changes] or captured.written_keys)
            buffer.wrote(intent, captured)
        return Response(response.status, captured.headers, captured.body, response.reason)

    async def _truncate(self, request: Request, operation: Operation, way: Route, buffer: Buffer) -> Response:
        intent = self._kit.mirror.intend_change(CollectionChange("truncate", way.collections))
        response = await self._sent(request, intent, buffer)
        body = await collect(response.body)
        if wrote_nothing(operation, response.status, body):
            self._kit.mirror.close_intent(intent)
        else:
            buffer.keep([intent])
            buffer.undo(way.collections, "truncate in a transaction")
        return Response(response.status, response.headers, body, response.reason)

    async def _sent(self, request: Request, intent: Intent, buffer: Buffer) -> Response:
        try:
            return await self._kit.origin.request(request)
        except UpstreamUnavailable:
            self._kit.mirror.close_intent(intent)
            raise
        except (UpstreamError, asyncio.CancelledError):
            buffer.keep([intent])
            raise

    # ---- ends

    def _ended(self, name: tuple[str, str], status: str) -> Sequence[Intent]:
        """Lets go of what was kept: applied, dropped, or read again where nobody can say. Gives the intents."""
        known = self._let_go(name)
        if known is None:
            return ()
        mirror, buffer = self._kit.mirror, known.buffer
        buffer.ended = True
        if status == "aborted":
            for intent in buffer.intents:
                mirror.close_intent(intent)
            return ()
        if status != "committed":
            buffer.forget()
        if buffer.whole:
            mirror.together.add(buffer.changes, buffer.whole)
        for intent in buffer.again:
            mirror.reread(intent)
        return buffer.intents

    async def _runs(self, request: Request, database: str, number: str) -> bool:
        """Whether a transaction still runs, asked with the client's credentials. Raises UpstreamError."""
        target = f"/_db/{quote(database, safe='')}/_api/transaction/{quote(number, safe='')}".encode()
        headers = [pair for pair in request.headers if pair[0].lower() == b"authorization"]
        response = await self._kit.origin.request(Request("GET", target, headers), idempotent=True)
        _, status = transaction_plan.state(await collect(response.body))
        return response.status != 404 and status not in transaction_plan.ENDED

    async def _ask(self, name: tuple[str, str], known: _Open) -> None:
        """Asks the origin whether it still runs. Raises UpstreamError."""
        database, number = name
        generation = self._kit.lease.generation  # of the moment before the look
        target = f"/_db/{database}/_api/transaction/{number}".encode()
        response = await self._kit.origin.request(Request("GET", target, known.headers), idempotent=True)
        _, status = transaction_plan.state(await collect(response.body))
        if response.status == 404:
            status = "unknown"
        if not status and time.monotonic() - known.asked_for > _OVER:  # credentials that hold no more
            status = "unknown"
        if status in transaction_plan.ENDED or status == "unknown":
            await self._undone(known.buffer, commit=status != "aborted")
            self._ended(name, status)
        else:
            known.used = time.monotonic()
            if self._open.get(name) is known and not known.busy:  # not noted yet: a flip waits, and looks again
                self._goes_on(known, generation if self._registry.noted(name) else 0)

    def _watch(self) -> None:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._look(), name="transactions")

    async def _look(self) -> None:
        """Asks for the states of those that nobody uses, and in a flip of all, as long as there are any."""
        while self._open:
            limit = time.monotonic() - _IDLE
            lease = self._kit.lease
            flipping = lease.snapshot.phase is Phase.DRAIN
            for name, known in list(self._open.items()):
                due = flipping and known.token is not None and known.token.generation < lease.generation
                if (known.used < limit or due) and not known.busy and name in self._open:
                    with contextlib.suppress(UpstreamError):
                        await self._ask(name, known)
            await asyncio.sleep(_LOOK)
        self._task = None
