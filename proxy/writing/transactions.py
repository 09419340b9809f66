"""Stream transactions: what they write is kept until they have ended, and then applied as one (mirror-protocol, 7).

The intents stay open until the transaction was seen to have ended: by the answer to its commit or abort, or, where
that was lost or went through another proxy, by asking for its state, with the credentials of the client that began it.

A flip does not wait for transactions to end. While one runs, its intents are no backlog: nobody sees what it wrote. But
its commit may have gone through a proxy that does not know its writes; from `begin` on, none forwards one like that.
So in `drain`, when all behave by that, each transaction's state is asked for once: one that still runs can be committed
here only, and then both stores have it before the answer (flight.Flight.older).

A transaction is its user's, and ArangoDB says who that is: what it refuses changes nothing of what is kept here, and
its state is asked for with the credentials that it took last.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

import structlog

from proxy.cutover.stages import Phase
from proxy.errors import ArangoError, UpstreamError, UpstreamUnavailable, named
from proxy.flight import Token
from proxy.mirror import faults, transactions
from proxy.mirror.capture import Opaque, settle
from proxy.mirror.capture import plan as plan_write
from proxy.mirror.intent import Intent
from proxy.mirror.refusals import wrote_nothing
from proxy.mirror.transactions import Buffer
from proxy.operations import Operation
from proxy.routing import Route, mirrored
from proxy.wire.message import Headers, Request, Response
from proxy.writing import opaque
from proxy.writing.kit import Kit, collect
from proxy.writing.modifications import Modifications

log = structlog.get_logger(__name__)

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
    token: Token | None = None  # that it runs; None once its end was asked for

    def left(self) -> list[str]:
        """Its intents, by collection: all of them are open while it runs."""
        return [intent.collection for intent in self.buffer.intents]


def _credentials(request: Request) -> Headers:
    return [pair for pair in request.headers if pair[0].lower() == b"authorization"]


class Transactions:
    """Those that run, by (database, id). `start` and `close` own the task that asks for their states."""

    def __init__(self, kit: Kit, modifications: Modifications) -> None:
        self._kit = kit
        self._modifications = modifications
        self._open: dict[tuple[str, str], _Open] = {}
        self._task: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Stops asking. What was written is in the journal."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    # ---- begin, commit, abort

    async def begin(self, request: Request, operation: Operation) -> Response:
        """Forwards, and remembers a transaction that began."""
        response = await self._kit.origin.request(request)
        body = await collect(response.body)
        number, _ = transactions.state(body)
        if response.status == 201 and number and len(self._open) < _MOST:
            known = self._remember(operation.database, number, request)
            known.buffer.declared = transactions.declared(operation.body, operation.database)
            faults.reach("transaction-begun")
        return Response(response.status, response.headers, body, response.reason)

    async def end(self, request: Request, operation: Operation, way: Route) -> Response:
        """A commit or an abort. Raises ArangoError 1655 where a flipped collection would miss what is committed."""
        kit, number = self._kit, operation.path[2]
        known = self._open.get((operation.database, number))
        commit = operation.endpoint == "transaction.commit"
        if known is not None and known.buffer.empty and mirrored(kit.lease.snapshot, known.buffer.declared) and commit:
            known = None  # another proxy may have taken its writes
        if known is None:
            if not commit:
                return await self._forwarded(request)
            if any(map(kit.flipped, way.collections)):
                if not await self._runs(request, operation.database, number):
                    return await self._forwarded(request)  # it has ended: nothing is committed any more
                raise ArangoError(
                    1655, f"transaction '{number}' not found: its writes did not come through this proxy", status=404
                )
            self._let_go((operation.database, number))
            return await opaque.forward(
                kit, request, operation, way.because("commit of a transaction without its writes")
            )
        known.busy += 1
        faults.reach("before-commit")
        self._stopped(known)  # from here on it is a write under way, and its intents are as those of any other
        flight, intents = kit.flight, known.buffer.intents
        with flight.during(
            flight.captured,
            way.collections,
            kit.lease.generation,
            left=lambda: [intent.collection for intent in intents if kit.mirror.is_open(intent)],
        ):
            try:
                response = await self._forwarded(request)
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
                faults.reach("after-commit")
                await self._undone(known.buffer, commit=commit)
                ended = self._ended((operation.database, number), "committed" if commit else "aborted")
                if commit:
                    await kit.applied(ended)
            else:
                await self._ask((operation.database, number), known)
        return response

    async def _undone(self, buffer: Buffer, *, commit: bool) -> None:
        """Behind a commit that was carried out, or may have been: flips that it leaves nothing to stand on."""
        for collection, reason in tuple(buffer.undoes.items()) if commit else ():
            await self._kit.taken_back((collection,), reason)

    def _stopped(self, known: _Open) -> None:
        if known.token is not None:
            self._kit.flight.running.discard(known.token)
            known.token = None

    def _let_go(self, name: tuple[str, str]) -> _Open | None:
        known = self._open.pop(name, None)
        if known is not None:
            self._stopped(known)
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
            known.token = Token((f"{known.database}/*",), generation, lambda: False, known.left)
            self._kit.flight.running.add(known.token)
        known.token.generation = generation

    # ---- writes

    async def write(self, request: Request, operation: Operation, way: Route) -> Response:
        """A write inside of a transaction: a document write, a modification, a truncation."""
        number = operation.headers["x-arango-trx-id"]
        name = operation.database, number
        if name not in self._open and len(self._open) >= _MOST:
            return await opaque.forward(self._kit, request, operation, way.because("too many transactions"))
        new = name not in self._open
        known = self._remember(operation.database, number, request)
        known.busy += 1
        try:
            if operation.endpoint == "cursor.create":
                response = await self._modifications.capture(request, operation, way, known.buffer)
            elif operation.endpoint == "collection.truncate":
                response = await self._truncate(request, operation, way, known.buffer)
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
        planned = plan_write(operation, transaction=True)
        if isinstance(planned, Opaque):
            return await opaque.forward(self._kit, request, operation, way.because(planned.reason), buffer)
        intent = self._kit.mirror.intend(way.collections[0], planned.keys, revised=not planned.removes)
        faults.reach("after-intend")
        response = await self._sent(planned.rewritten(request), intent, buffer)
        faults.reach("transaction-wrote")
        body = await collect(response.body)
        try:
            captured = settle(planned, response.status, response.headers, body)
        except ValueError as error:
            log.warning("an answer of the origin was not understood", error=named(error), collection=way.collections[0])
            buffer.keep([intent])
            return Response(response.status, response.headers, body, response.reason)
        if captured.complete and not captured.changes:
            self._kit.mirror.settled_nothing(intent)
        else:
            self._kit.mirror.learn(intent, [change.key for change in captured.changes] or captured.written_keys)
            buffer.wrote(intent, captured)
        return Response(response.status, captured.headers, captured.body, response.reason)

    async def _truncate(self, request: Request, operation: Operation, way: Route, buffer: Buffer) -> Response:
        intent = self._kit.mirror.intend(way.collections[0], way.collections, sweep="truncate")
        response = await self._sent(request, intent, buffer)
        body = await collect(response.body)
        if wrote_nothing(operation, response.status, body):
            self._kit.mirror.settled_nothing(intent)
        else:
            buffer.keep([intent])
            buffer.undo(way.collections, "truncate in a transaction")
        return Response(response.status, response.headers, body, response.reason)

    async def _sent(self, request: Request, intent: Intent, buffer: Buffer) -> Response:
        try:
            return await self._kit.origin.request(request)
        except UpstreamUnavailable:
            self._kit.mirror.settled_nothing(intent)
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
                mirror.settled_nothing(intent)
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
        _, status = transactions.state(await collect(response.body))
        return response.status != 404 and status not in transactions.ENDED

    async def _ask(self, name: tuple[str, str], known: _Open) -> None:
        """Asks the origin whether it still runs. Raises UpstreamError."""
        database, number = name
        generation = self._kit.lease.generation  # of the moment before the look
        target = f"/_db/{database}/_api/transaction/{number}".encode()
        response = await self._kit.origin.request(Request("GET", target, known.headers), idempotent=True)
        _, status = transactions.state(await collect(response.body))
        if response.status == 404:
            status = "unknown"
        if not status and time.monotonic() - known.asked_for > _OVER:  # credentials that hold no more
            status = "unknown"
        if status in transactions.ENDED or status == "unknown":
            await self._undone(known.buffer, commit=status != "aborted")
            self._ended(name, status)
        else:
            known.used = time.monotonic()
            if self._open.get(name) is known and not known.busy:
                self._goes_on(known, generation)

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
