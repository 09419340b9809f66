"""One write under way: the protocol that every kind of write follows, as one scope.

    async with context.write() as attempt:
        attempt.intend(...)                            in the journal before anything is sent (I3)
        response, body = await attempt.forward(...)    counted as in flight until the block ends
        await attempt.conclude(outcome)                what ArangoDB's answer says was written
        await attempt.applied()                        if flipped: PostgreSQL has it before the client's answer (I7)

However the block ends, each of its intents ends as the mirror protocol asks. An intent without a conclusion is one of a
request that was never sent (a full journal, ArangoDB that cannot be reached): nothing was written. Or of one that was
sent (a lost answer, a client that went away, a job that was cancelled, an error of this proxy): the outcome is unknown.

Inside of a stream transaction (`buffer`) what was written is kept until its end. If ArangoDB may run the request
outside of the transaction (`apart`), every intent is there twice: one ends with the answer, one with the transaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Final, NamedTuple, Protocol, Self

from proxy.base import failpoints
from proxy.base.errors import UpstreamUnavailable
from proxy.capture.bodies import collect
from proxy.capture.outcomes import (
    NOTHING_WRITTEN,
    UNKNOWN,
    NothingWritten,
    ReadAgain,
    Uncaptured,
    WriteOutcome,
    Written,
)
from proxy.capture.transaction_plan import Buffer
from proxy.journal.intent import Intent
from proxy.journal.records import CollectionChange, OpaqueWrite, VertexRemoval
from proxy.model.in_flight import InFlight, Scope, touches
from proxy.model.message import Request, Response
from proxy.replication.mirror import Mirror
from proxy.stores.arango import Requester

KEYS: Final = 500  # of one intent


class Undo(NamedTuple):
    """Flips that are rolled back once a write was carried out, or may have been: what it wrote may not become known."""

    collections: Sequence[str] = ()
    reason: str = ""


class AttemptContext(Protocol):
    """The part of `capture.context.WriteContext` that an attempt uses."""

    @property
    def origin(self) -> Requester: ...
    @property
    def mirror(self) -> Mirror: ...
    @property
    def flight(self) -> InFlight: ...
    @property
    def generation(self) -> int: ...
    def refuse_held(self, collections: Sequence[str]) -> None: ...
    async def roll_back(self, collections: Sequence[str], reason: str) -> None: ...
    async def applied(self, intents: Sequence[Intent]) -> None: ...
    async def applied_soon(self, intents: Sequence[Intent], reason: str) -> None: ...


class Attempt:
    """The scope of one write. intents: all that it recorded, concluded or not.

    undo: rolled back before an intent is concluded as anything but nothing written. counted: the answer waits for
    PostgreSQL, so that until then its open intents are in flight (`OperationInFlight`) and not a backlog. continues: it
    is a part of what began earlier, or ends that, so that a promotion waits for it; any other write is refused while
    who takes the writes of its collection is changing.
    """

    __slots__ = (
        "_apart",
        "_buffer",
        "_context",
        "_continues",
        "_counted",
        "_open",
        "_outside",
        "_sent",
        "_undo",
        "generation",
        "intents",
    )

    def __init__(
        self,
        context: AttemptContext,
        undo: Undo,
        buffer: Buffer | None,
        *,
        apart: bool,
        counted: bool,
        continues: bool = False,
    ) -> None:
        self._context = context
        self.generation = context.generation
        self._undo = undo
        self._buffer = buffer
        self._apart = apart
        self._counted = counted
        self._continues = continues or buffer is not None
        self._sent = False
        self._open: dict[Intent, None] = {}  # without a conclusion
        self._outside: list[Intent] = []  # those of `apart` that end with the answer
        self.intents: list[Intent] = []

    async def __aenter__(self) -> Self:
        if self._counted:
            self._context.flight.captured.add(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._open:
                await self._abandon(error)
        finally:
            if self._counted:
                self._context.flight.captured.discard(self)

    def open_in(self, scope: Scope) -> int:
        """Return the number of its open intents in the scope."""
        mirror = self._context.mirror
        return sum(touches(scope, (intent.collection,)) for intent in self.intents if mirror.is_open(intent))

    # ---- before

    def intend(
        self, collection: str, keys: tuple[str, ...] = (), *, revised: bool = False, trace: bytes | None = None
    ) -> Intent:
        """Record the intent of a write of documents, see `Mirror.intend`.

        Raise ArangoError if it must not be sent; FenceRefused if it must be routed again.
        """
        if not self._continues and not self._sent:
            self._context.refuse_held((collection,))
        if self._apart:
            self._recorded(self._context.mirror.intend(collection, keys, revised=revised), outside=True)
        intent = self._context.mirror.intend(collection, keys, revised=revised, trace=trace)
        self.intents.append(intent)
        self._open[intent] = None
        return intent

    def intend_change(self, write: CollectionChange | VertexRemoval | OpaqueWrite) -> Intent:
        """Record the intent of a write of unknown extent, see `Mirror.intend_change`. Raise as `intend`."""
        if not self._continues and not self._sent:
            self._context.refuse_held(write.collections)
        if self._apart:
            self._recorded(self._context.mirror.intend_change(write), outside=True)
        return self._recorded(self._context.mirror.intend_change(write))

    async def intend_keys(self, collection: str, keys: Sequence[str]) -> None:
        """Record intents for many keys, some hundred each, with a turn of the event loop between two. As `intend`."""
        for start in range(0, len(keys), KEYS):
            if start:
                await asyncio.sleep(0)
            self.intend(collection, tuple(keys[start : start + KEYS]))

    def _recorded(self, intent: Intent, *, outside: bool = False) -> Intent:
        self.intents.append(intent)
        self._open[intent] = None
        if outside:
            self._outside.append(intent)
        return intent

    # ---- the request

    async def forward(self, request: Request) -> tuple[Response, bytes]:
        """Send the request; return the answer and its whole body. Raise UpstreamError."""
        response = await self.forward_streamed(request)
        body = response.body
        if not isinstance(body, bytes):
            response.body = body = await collect(body)
        return response, body

    async def forward_streamed(self, request: Request) -> Response:
        """Send the request; return the answer, its body perhaps a stream. Raise UpstreamError."""
        failpoints.reach("after-intend")
        self._sent = True
        try:
            response = await self._context.origin.request(request)
        except UpstreamUnavailable:
            self._sent = False
            raise
        failpoints.reach("after-forward")
        return response

    # ---- afterwards

    async def conclude(
        self, outcome: WriteOutcome, intents: Sequence[Intent] | None = None, *, keep_flips: bool = False
    ) -> None:
        """End the intents by what was written; all that are open if none are named.

        keep_flips: an error, after which there is nearly always nothing to find: only what is found changes anything.
        """
        ending = tuple(self._open) if intents is None else intents
        if type(outcome) is Written and self._buffer is None:
            for intent in ending:
                if len(outcome.changes) == 1:
                    self._context.mirror.captured(intent, outcome.changes)
                else:
                    await self._context.mirror.captured_in_turns(intent, outcome.changes)
                del self._open[intent]
            return
        try:
            if not keep_flips and not isinstance(outcome, NothingWritten):
                await self._roll_back()
        finally:
            for intent in ending:
                self._end(intent, outcome)

    async def applied(self) -> None:
        """Wait until PostgreSQL has what was written, if it is flipped; inside of a transaction its end waits."""
        if self._buffer is None:
            await self._context.applied(self.intents)
        elif self._apart:
            await self._context.applied(self._outside)

    async def applied_soon(self, reason: str, intents: Sequence[Intent] | None = None) -> None:
        """Wait as `applied`, but not longer than a lease: beyond, the flip is rolled back for that reason."""
        if self._buffer is None:
            await self._context.applied_soon(self.intents if intents is None else intents, reason)

    def hand_over(self) -> tuple[Intent, ...]:
        """Return the intents without a conclusion: the caller ends them from now on."""
        intents = tuple(self._open)
        self._open.clear()
        return intents

    # ---- parts

    @property
    def _running(self) -> Buffer | None:
        """The buffer of the transaction that it runs in; None once that has ended, or if there is none."""
        return None if self._buffer is None or self._buffer.ended else self._buffer

    async def _roll_back(self, *, cancelled: bool = False) -> None:
        """Roll flips back: now, or with the commit. A request that was cancelled has no answer that waits for that."""
        running = self._running
        if running is not None:
            running.undo(*self._undo)
        if (running is None or self._apart) and not cancelled:
            await self._context.roll_back(*self._undo)

    def _end(self, intent: Intent, outcome: WriteOutcome) -> None:
        self._open.pop(intent, None)
        mirror, running = self._context.mirror, self._running
        if isinstance(outcome, NothingWritten):
            mirror.close_intent(intent)
            return
        if isinstance(outcome, Written):
            mirror.learn(intent, [change.key for change in outcome.changes])
        elif isinstance(outcome, ReadAgain):
            mirror.learn(intent, outcome.keys)
        if running is not None and intent not in self._outside:
            if isinstance(outcome, Written):
                running.wrote(intent, outcome.changes)
            else:
                running.keep((intent,))
        elif isinstance(outcome, Uncaptured):
            mirror.mark(intent)
        elif outcome is UNKNOWN:
            mirror.lost(intent)
        else:  # versions as well: their transaction ended meanwhile, and how is not known
            mirror.reread(intent)

    async def _abandon(self, error: BaseException | None) -> None:
        """End the intents that have no conclusion, as the module's docstring says."""
        intents = tuple(self._open)
        if not self._sent:
            for intent in intents:
                self._end(intent, NOTHING_WRITTEN)
            return
        for intent in intents:
            self._end(intent, UNKNOWN)
        await self._roll_back(cancelled=error is not None and not isinstance(error, Exception))
