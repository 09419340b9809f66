"""The stream transactions that run, as far as this process knows: what they wrote, and whether they have ended.

What they write is kept until they were seen to have ended: by the answer to the commit or abort, or, if that was lost
or went through another proxy, by asking for their state, with the credentials that ArangoDB took last.

A flip does not wait for transactions to end. While one runs, its intents are not a backlog: no client sees what it
wrote. But its commit may have gone through a proxy that does not know its writes; from `begin` of a flip on, none
forwards one like that. So in `drain`, when all instances run at that generation, each transaction's state is asked for
once: one that still runs can be committed here only, and then both stores have it before the answer (`InFlight.older`).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from proxy.base.errors import UpstreamError
from proxy.base.supervise import cancelled
from proxy.capture import transaction_plan
from proxy.capture.bodies import collect
from proxy.capture.context import WriteContext
from proxy.capture.transaction_plan import Buffer
from proxy.capture.transaction_registry import Name, TransactionRegistry
from proxy.journal.intent import Intent
from proxy.model.in_flight import Ticket
from proxy.model.message import Headers, Request
from proxy.model.stages import Phase

_LOOK = 0.1  # seconds between two rounds of questions about those that no client uses
_IDLE = 5.0  # seconds without a request after which the origin is asked whether it still runs
_OVER = 150.0  # seconds without one after which it runs no more, whatever the origin says: its own limit is 120


@dataclass(slots=True)
class OpenTransaction:
    """One that runs. headers: to ask for its state with. used: when it was last used or seen to run.

    asked_for: when a client last did something in it. busy: requests under way. own: begun through this process.
    uncaptured: collections that it may have written while nothing was captured. ticket: says that it runs; None once
    its end was asked for.
    """

    buffer: Buffer
    database: str
    headers: Headers
    used: float
    asked_for: float
    busy: int = 0
    own: bool = False
    uncaptured: set[str] = field(default_factory=set)
    ticket: Ticket | None = None

    def left(self) -> list[str]:
        """Return the collections of its intents, one for each: all of them are open while it runs."""
        return [intent.collection for intent in self.buffer.intents]


class OpenTransactions:
    """Open transactions by (database, id). Owns the task that asks for their states, as long as there are any."""

    def __init__(self, context: WriteContext, registry: TransactionRegistry) -> None:
        self._context = context
        self._registry = registry
        self._open: dict[Name, OpenTransaction] = {}
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._open)

    def get(self, name: Name) -> OpenTransaction | None:
        return self._open.get(name)

    async def close(self) -> None:
        """Stop asking. What was written is in the journal."""
        if self._task is not None:
            await cancelled(self._task)
            self._task = None

    def remember(self, name: Name, request: Request) -> OpenTransaction:
        """Return the transaction, which runs from now on if it was not known."""
        known = self._open.get(name)
        if known is None:
            now = time.monotonic()
            known = self._open[name] = OpenTransaction(Buffer(), name[0], request.credentials(), now, now)
            self._runs_at(known, 0)  # the generation is that of a question, and there was none yet
            self.watch()
        return known

    def forget(self, name: Name) -> OpenTransaction | None:
        """Drop and return a transaction that no longer runs, or never did; None if it is not known."""
        known = self._open.pop(name, None)
        if known is not None:
            self.end_asked(known)
            self._registry.over(name)
        return known

    def end_asked(self, known: OpenTransaction) -> None:
        """Take note that its end is about to be forwarded: from here on it is a write like any other, with intents."""
        if known.ticket is not None:
            self._context.flight.running.discard(known.ticket)
            known.ticket = None

    def ended(self, name: Name, status: str) -> Sequence[Intent]:
        """Apply what was kept, drop it, or read it again if its end is not known. Return the intents to be applied.

        status: `committed`, `aborted`, anything else is not known.
        """
        known = self.forget(name)
        if known is None:
            return ()
        mirror, buffer = self._context.mirror, known.buffer
        buffer.ended = True
        if status == "aborted":
            for intent in buffer.intents:
                mirror.close_intent(intent)
            return ()
        if status != "committed":
            buffer.forget()
        if buffer.whole:
            mirror.transactions.add(buffer.changes, buffer.whole)
        for intent in buffer.again:
            mirror.reread(intent)
        return buffer.intents

    async def roll_back_flips(self, known: OpenTransaction) -> None:
        """After a commit that was carried out, or may have been: roll back the flips that do not outlive it."""
        for collection, reason in tuple(known.buffer.undoes.items()):
            await self._context.roll_back((collection,), reason)

    # ---- asking the origin

    async def runs(self, request: Request, name: Name) -> bool:
        """Return True if a transaction still runs, asked with the client's credentials. Raise UpstreamError."""
        status = await self._state(name, request.credentials())
        return status not in transaction_plan.ENDED and status != "unknown"

    async def ask(self, name: Name, known: OpenTransaction) -> None:
        """Ask the origin whether it still runs; end it here if not. Raise UpstreamError."""
        generation = self._context.generation  # of the moment before the question
        status = await self._state(name, known.headers)
        if not status and time.monotonic() - known.asked_for > _OVER:  # credentials that are not valid any more
            status = "unknown"
        if status in transaction_plan.ENDED or status == "unknown":
            if status != "aborted":
                await self.roll_back_flips(known)
            self.ended(name, status)
        else:
            known.used = time.monotonic()
            if self._open.get(name) is known and not known.busy:
                # not in the registry yet: a flip waits, and it is asked for again
                self._runs_at(known, generation if self._registry.noted(name) else 0)

    async def _state(self, name: Name, headers: Headers) -> str:
        """Return the status of a transaction; `unknown` if the origin has none of this name, empty if it says none."""
        database, number = (quote(part, safe="") for part in name)
        target = f"/_db/{database}/_api/transaction/{number}".encode()
        response = await self._context.origin.request(Request("GET", target, headers), idempotent=True)
        _, status = transaction_plan.state(await collect(response.body))
        return "unknown" if response.status == 404 else status

    def _runs_at(self, known: OpenTransaction, generation: int) -> None:
        """Take note that it runs, as the origin reported when this instance ran at that generation."""
        if known.ticket is None:
            every = (f"{known.database}/*",)
            known.ticket = Ticket(every, generation, lambda: False, known.left, known.buffer.numbers)
            self._context.flight.running.add(known.ticket)
        known.ticket.generation = generation

    def watch(self) -> None:
        """Begin to ask for states, unless that is under way."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._watch(), name="transactions")

    async def _watch(self) -> None:
        """Ask for the states of those that no client uses, and in a flip of all, as long as there are any."""
        while self._open:
            limit = time.monotonic() - _IDLE
            lease = self._context.lease
            flipping = lease.snapshot.phase is Phase.DRAIN
            for name, known in list(self._open.items()):
                due = flipping and known.ticket is not None and known.ticket.generation < lease.generation
                if (known.used < limit or due) and not known.busy and name in self._open:
                    with contextlib.suppress(UpstreamError):
                        await self.ask(name, known)
            await asyncio.sleep(_LOOK)
        self._task = None
