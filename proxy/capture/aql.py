"""AQL modifications: rewritten so that they tell their keys, which are then read again (`capture.aql_plan`).

The rule: what a modification wrote is known, journaled and, while flipped, in PostgreSQL before the client has its
first answer, whatever the client then does with its cursor. So the cursor of the origin is read to its end here, and
the client's rows are kept for it (`cursors`, `rows`); the same inside of a stream transaction, whose commit then finds
every key noted. Nothing waits for a client.

An intent without keys is open for each mirrored collection from before the request until the last batch was read. It
stands for a search by revisions, or, where the query removes, for a comparison of the whole collection, should the
keys never become known.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from proxy.base import failpoints
from proxy.base.errors import ArangoError, UpstreamError, UpstreamOutcomeUnknown, UpstreamUnavailable
from proxy.capture import aql_plan, opaque
from proxy.capture.aql_plan import Batch, Modification, UnkeyedWrite
from proxy.capture.context import KEYS, WriteContext, collect, error_number, plain
from proxy.capture.cursors import Cursors
from proxy.capture.refusals import in_parts, wrote_nothing
from proxy.capture.transaction_plan import Buffer
from proxy.capture.unread_rows import DiskBudget, Rows
from proxy.journal.intent import Intent
from proxy.journal.records import CollectionChange
from proxy.model.message import Request, Response
from proxy.model.operations import Operation
from proxy.routing.route import Route

_AT_ONCE = 256 << 10  # bytes of an answer that are taken apart between two other requests; more by a worker
_REMOVAL = "removal by a query"
_CALLED = frozenset({1540, 1541})  # of a function, by CALL in the middle of a run as well


@dataclass(slots=True)
class _Run:
    """One modification under way. intents: by collection. known: of keys that its answers told.

    buffer: of the transaction that it runs in. began: on the monotonic clock.
    """

    request: Request
    operation: Operation
    buffer: Buffer | None
    began: float
    intents: Mapping[str, Intent] = field(default_factory=dict)
    known: list[Intent] = field(default_factory=list)

    @property
    def intended(self) -> tuple[Intent, ...]:
        """Each of `intents` once: one may stand for several collections."""
        return tuple({id(intent): intent for intent in self.intents.values()}.values())


class Modifications:
    """Carries them out; owns the cursors whose rows clients have not asked for yet."""

    def __init__(self, kit: WriteContext) -> None:
        self._kit = kit
        self._room = DiskBudget(kit.settings.state_dir)
        self.cursors = Cursors(kit)

    async def capture(
        self, request: Request, operation: Operation, way: Route, buffer: Buffer | None = None
    ) -> Response:
        """Runs a modification. Raises UpstreamError; what it then wrote is found by the journal's intents.

        buffer: of the transaction that it runs in, whose end its intents wait for.
        """
        kit, mirror = self._kit, self._kit.mirror
        body = operation.body
        # what is known of it already was too much to be found out here (`facts`), and to be rewritten as well
        light = _AT_ONCE if operation.known is None else 0
        planned = await kit.read(
            aql_plan.plan, body, operation.database, size=len(body), odd="not read in time", light=light
        )
        if isinstance(planned, str):
            return await opaque.forward(kit, request, operation, way.because(f"AQL modification: {planned}"))
        run = _Run(request, operation, buffer, time.monotonic())
        run.intents = {
            name: mirror.intend_change(CollectionChange(_REMOVAL, (name,)))
            if name in planned.removed
            else mirror.intend(name, revised=True)
            for name in way.collections
        }
        failpoints.reach("after-intend")
        with kit.flight.during(
            kit.flight.captured,
            way.collections,
            kit.lease.generation,
            left=lambda: [one.collection for one in (*run.intended, *run.known) if mirror.is_open(one)],
        ):
            if isinstance(planned, UnkeyedWrite):
                return await self._untold(run, planned)
            return await self._told(run, planned)

    async def _told(self, run: _Run, planned: Modification) -> Response:
        response = await self._sent(plain(run.request, planned.body), run)
        failpoints.reach("after-forward")
        body = await collect(response.body)
        if response.status >= 400:
            await self._failed(run, planned, response.status, body)
        else:
            body = await self._whole(run, planned, body)
            for intent in run.intended:  # all keys have intents of their own
                self._kit.mirror.close_intent(intent)
            if run.buffer is None:
                await self._kit.applied(run.known)
        return Response(response.status, response.headers, body, response.reason)

    async def _untold(self, run: _Run, planned: UnkeyedWrite) -> Response:
        """Forwards it as it is: what it wrote is found by its revisions; where it removes, all of it is compared.

        Either may end in a mark instead, so behind what was carried out flips are taken back (I7), as in `untold`.
        """
        names, why = tuple(run.intents), f"AQL modification: {planned.why}"
        request = plain(run.request, run.operation.body if planned.body is None else planned.body)
        response = await self._sent(request, run, undoes=(names, why))
        failpoints.reach("after-forward")
        body = await collect(response.body)
        if wrote_nothing(run.operation, response.status, body):
            self._nothing(run)
        elif response.status >= 400:
            if response.status >= 500:
                await self._undone(run, names, why)
            await self._failed(run, planned, response.status, body)
        else:
            try:
                body = await self._whole(run, planned, body) if planned.body is not None else body
            except (UpstreamError, ArangoError):
                await self._undone(run, names, why)
                raise
            try:
                await self._undone(run, names, why)
            finally:
                self._give_up(run)
        if run.buffer is None and response.status < 400:
            await self._kit.applied(run.intended)
        return Response(response.status, response.headers, body, response.reason)

    async def _whole(self, run: _Run, planned: Modification | UnkeyedWrite, first: bytes) -> bytes:
        """The client's first answer, once the cursor of the origin is read to its end; it may fail there as well."""
        try:
            return await self._read(run, planned, first)
        except BaseException as error:  # also of who cancels a job: nobody will tell more keys
            self._give_up(run, lost=True)
            if isinstance(error, ArangoError):
                await self._looked_for(run, planned)
            raise

    async def _undone(self, run: _Run, collections: tuple[str, ...], why: str) -> None:
        """Flips are taken back: now, or with the commit of the transaction that it runs in."""
        if run.buffer is not None and not run.buffer.ended:
            run.buffer.undo(collections, why)
        else:
            await self._kit.roll_back(collections, why)

    async def _sent(self, request: Request, run: _Run, undoes: tuple[Sequence[str], str] = ((), "")) -> Response:
        if run.buffer is None:
            return await self._kit.forward(request, *run.intended, undoes=undoes)
        try:
            return await self._kit.origin.request(request)
        except UpstreamUnavailable:
            self._nothing(run)
            raise
        except (UpstreamError, asyncio.CancelledError):
            self._give_up(run)
            raise

    async def _failed(self, run: _Run, planned: Modification | UnkeyedWrite, status: int, body: bytes) -> None:
        """A query that failed may have written, by intermediate commits (protocol page, section 4): looked for then."""
        once = isinstance(planned, Modification) and planned.once
        called = planned.asked.commits and error_number(body) in _CALLED
        if (wrote_nothing(run.operation, status, body) and not called) or (once and status < 500):
            self._nothing(run)
            return
        self._give_up(run, lost=status >= 500)
        await self._looked_for(run, planned)

    async def _looked_for(self, run: _Run, planned: Modification | UnkeyedWrite) -> None:
        """The answer to a query that failed waits for the search of what it wrote to flipped collections (I7).

        For the comparison of a whole collection, which finds what it removed, it waits only where ArangoDB may have
        committed removals (`refusals.in_parts`): one that lasts takes the flip back.
        """
        if run.buffer is not None:  # no part of a transaction is committed before its end
            return
        parts = in_parts(named=planned.asked.commits, seconds=time.monotonic() - run.began)
        waiting = [one for name, one in run.intents.items() if parts or name not in planned.removed]
        await self._kit.applied_soon([*run.known, *waiting], "a query that failed may have been committed in parts")

    def _nothing(self, run: _Run) -> None:
        for intent in run.intended:
            self._kit.mirror.close_intent(intent)

    def _give_up(self, run: _Run, *, lost: bool = False) -> None:
        """Nobody will tell more keys: a search by revisions, or a comparison, finds what was written."""
        intents = (*run.intended, *run.known)
        if run.buffer is not None and not run.buffer.ended:
            kept = set(map(id, run.buffer.again))
            run.buffer.keep([one for one in intents if id(one) not in kept])
            return
        for intent in intents:
            (self._kit.mirror.lost if lost else self._kit.mirror.reread)(intent)

    # ---- reading

    async def _read(self, run: _Run, planned: Modification | UnkeyedWrite, first: bytes) -> bytes:
        """Reads the origin's cursor to its end; gives the client's first answer.

        Raises UpstreamError, and ArangoError where the origin refuses the rest.
        """
        asked = planned.asked
        later = asked.stream  # until its last batch was read nothing of it is committed
        told = replace(planned, body=b"")  # which no worker needs to see again
        head: list[bytes] = []
        rows: Rows | None = None
        last, extra = first, b""
        try:
            while True:
                batch = await self._taken(told, last)
                failpoints.reach("keys-read")
                await self._learn(batch.keys, run, later=later)
                number = asked.size - len(head) if rows is None else 0
                head += batch.rows[:number]
                if rows is None and len(batch.rows) > number:
                    rows = Rows(self._room)
                    await asyncio.to_thread(rows.add, head)
                if rows is not None and len(batch.rows) > number:
                    await asyncio.to_thread(rows.add, batch.rows[number:])
                extra = extra or aql_plan.extra_of(last)
                if batch.id is None:
                    break
                last = await self._next(run.request, batch.id)
            if later:
                self._noted(run, run.known)
        except BaseException:
            if rows is not None:
                rows.close()
            raise
        if rows is None:
            return aql_plan.whole(first, last, head)
        return self.cursors.open(run.request, run.operation.database, asked, rows, head, extra)

    async def _taken(self, planned: Modification | UnkeyedWrite, body: bytes) -> Batch:
        try:
            batch = await self._kit.read(aql_plan.read, planned, body, size=len(body), odd=None, light=_AT_ONCE)
            # what was carried out is known, whatever that takes
            return batch if batch is not None else await asyncio.to_thread(aql_plan.read, planned, body)
        except ValueError as error:
            raise UpstreamOutcomeUnknown("an answer to a query is none") from error

    async def _next(self, request: Request, cursor: str) -> bytes:
        prefix = request.target.partition(b"/_api/cursor")[0]
        # a limit on waiting is the first request's: what it wrote is written, and the rest must be read
        headers = [pair for pair in plain(request, b"").headers if pair[0].lower() != b"x-arango-queue-time-seconds"]
        more = Request("POST", prefix + b"/_api/cursor/" + cursor.encode(), headers)
        response = await self._kit.origin.request(more)
        body = await collect(response.body)
        if response.status >= 400:
            raise ArangoError(error_number(body) or 500, "the rest of a query's rows could not be read", status=500)
        return body

    async def _learn(self, keys: Mapping[str, Sequence[str]], run: _Run, *, later: bool) -> None:
        """Notes the keys of one batch, some at a time: the client's batches may be large."""
        for collection, some in keys.items():
            if collection not in run.intents:
                continue
            for start in range(0, len(some), KEYS):
                found = self._kit.mirror.intend(collection, tuple(some[start : start + KEYS]))
                run.known.append(found)
                if not later:
                    self._noted(run, (found,))
                await asyncio.sleep(0)

    def _noted(self, run: _Run, found: Sequence[Intent]) -> None:
        """Their keys are read again, now or after the end of the transaction."""
        if run.buffer is not None and not run.buffer.ended:
            run.buffer.keep(found)
            return
        for intent in found:
            self._kit.mirror.reread(intent)
