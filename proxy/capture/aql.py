"""AQL modifications: rewritten so that their rows name their keys, which are then read again (`capture.aql_plan`).

The rule: what a modification wrote is known, journaled and, while flipped, in PostgreSQL before the client has its
first answer, whatever the client then does with its cursor. So the cursor of the origin is read to its end here, and
the client's rows are kept for it (`cursors`, `unread_rows`); the same inside of a stream transaction, whose commit then
finds every key in the journal. Nothing waits for a client.

An intent without keys is open for each mirrored collection from before the request until the last batch was read. It
stands for a search by revisions, or, if the query removes, for a comparison of the whole collection, should the keys
never become known.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from proxy.base import failpoints
from proxy.base.errors import ArangoError, UpstreamOutcomeUnknown
from proxy.capture import aql_plan, opaque
from proxy.capture.aql_plan import Modification, OriginBatch, UnkeyedWrite
from proxy.capture.attempt import KEYS, Attempt, Undo
from proxy.capture.bodies import collect, with_body
from proxy.capture.context import WriteContext, error_number
from proxy.capture.cursors import ModificationCursors
from proxy.capture.outcomes import NOTHING_WRITTEN, READ_AGAIN, UNKNOWN
from proxy.capture.refusals import conflicting, in_parts, wrote_nothing
from proxy.capture.transaction_plan import Buffer
from proxy.capture.unread_rows import DiskBudget, UnreadRows
from proxy.journal.intent import Intent
from proxy.journal.records import CollectionChange
from proxy.model.message import Request, Response
from proxy.model.operations import Operation
from proxy.rehearsal.chosen_query import ChosenQuery
from proxy.routing.route import Route

_INLINE_ANSWER_LIMIT = 256 << 10  # bytes of an answer that are parsed between two other requests; more by a worker
_REMOVAL = "removal by a query"
_CALLED = frozenset({1540, 1541})  # of a function, by CALL in the middle of a run as well


@dataclass(slots=True)
class _Run:
    """One modification under way. began: on the monotonic clock.

    unkeyed: its intents without keys, by collection. keyed: those of keys that its answers named.
    """

    request: Request
    operation: Operation
    planned: Modification | UnkeyedWrite
    attempt: Attempt
    began: float
    chosen: ChosenQuery | None = None
    unkeyed: Mapping[str, Intent] = field(default_factory=dict)
    keyed: list[Intent] = field(default_factory=list)


class Modifications:
    """Carries them out; owns the cursors whose rows clients have not asked for yet."""

    def __init__(self, context: WriteContext) -> None:
        self._context = context
        self._room = DiskBudget(context.settings.state_dir)
        self.cursors = ModificationCursors(context)

    async def capture(
        self, request: Request, operation: Operation, route: Route, buffer: Buffer | None = None
    ) -> Response:
        """Run a modification. Raise UpstreamError; what it then wrote is found by the journal's intents.

        buffer: of the transaction that it runs in, whose end its intents wait for.
        """
        context, body = self._context, operation.body
        # if what is known of it already was too much to be found out in place (`query_facts`), rewriting it is as well
        inline_limit = _INLINE_ANSWER_LIMIT if operation.known is None else 0
        chosen = None
        if context.rehearser is not None and buffer is None:
            chosen = context.rehearser.choose_query(operation, route.collections)
        planned = await context.read(
            aql_plan.plan,
            *(body, operation.database, chosen is not None),
            size=len(body),
            odd="not read in time",
            inline_limit=inline_limit,
        )
        if chosen is not None and not (isinstance(planned, Modification) and planned.versions):
            chosen.unseen()
            chosen = None
        if isinstance(planned, str):
            return await opaque.forward(context, request, operation, route.with_reason(f"AQL modification: {planned}"))
        undo = Undo()
        if isinstance(planned, UnkeyedWrite):  # its search or comparison may end in a mark, as in `capture.reread`
            undo = Undo(route.collections, f"AQL modification: {planned.why}")
        async with context.write(undo=undo, buffer=buffer) as attempt:
            run = _Run(request, operation, planned, attempt, time.monotonic(), chosen)
            run.unkeyed = {
                name: attempt.intend_change(CollectionChange(_REMOVAL, (name,)))
                if name in planned.removed
                else attempt.intend(name, revised=True)
                for name in route.collections
            }
            return await self._carried_out(run)

    async def _carried_out(self, run: _Run) -> Response:
        planned, attempt = run.planned, run.attempt
        asked = run.operation.body if planned.body is None else planned.body
        response, body = await attempt.forward(with_body(run.request, asked))
        if response.status >= 400:
            if run.chosen is not None:
                run.chosen.refused()
            await self._failed(run, response.status, body)
            await self._show(run, body)
        elif isinstance(planned, Modification):
            body = await self._read_whole(run, body)
            if run.chosen is not None:
                run.chosen.answered()
            await attempt.conclude(NOTHING_WRITTEN, tuple(run.unkeyed.values()))  # all keys have their own intents
            await attempt.applied()
        elif wrote_nothing(run.operation, response.status, body):
            await attempt.conclude(NOTHING_WRITTEN)
        else:
            if planned.body is not None:
                body = await self._read_whole(run, body)
            await attempt.conclude(READ_AGAIN)
            await attempt.applied()
        return Response(response.status, response.headers, body, response.reason)

    async def _read_whole(self, run: _Run, first: bytes) -> bytes:
        """Return the client's first answer, once the cursor of the origin is read to its end; that may fail as well."""
        try:
            return await self._read(run, first)
        except ArangoError:
            await run.attempt.conclude(UNKNOWN)  # no answer will name more keys
            await self._wait_for_parts(run)
            raise

    async def _failed(self, run: _Run, status: int, body: bytes) -> None:
        """Find what a failed query has written, by intermediate commits (protocol page, section 4)."""
        planned = run.planned
        once = isinstance(planned, Modification) and planned.once
        called = planned.asked.commits and error_number(body) in _CALLED
        if (wrote_nothing(run.operation, status, body) and not called) or (once and status < 500):
            await run.attempt.conclude(NOTHING_WRITTEN)
            return
        await run.attempt.conclude(UNKNOWN if status >= 500 else READ_AGAIN, keep_flips=status < 500)
        await self._wait_for_parts(run)

    async def _show(self, run: _Run, refusal: bytes) -> None:
        """Bring the document that an error names to PostgreSQL before the client hears of it, as `capture.shown`."""
        keys = conflicting(refusal)
        for name in run.unkeyed if keys else ():
            if self._context.flipped(name):
                await self._context.ensure_replica_has(name, (), keys)

    async def _wait_for_parts(self, run: _Run) -> None:
        """Hold the answer to a query that failed until what it wrote to flipped collections was searched (I7).

        For the comparison of a whole collection, which finds what it removed, it waits only if ArangoDB may have
        committed removals (`refusals.in_parts`): one that takes long rolls the flip back.
        """
        planned = run.planned
        parts = in_parts(named=planned.asked.commits, seconds=time.monotonic() - run.began)
        waiting = [intent for name, intent in run.unkeyed.items() if parts or name not in planned.removed]
        await run.attempt.applied_soon("a query that failed may have been committed in parts", [*run.keyed, *waiting])

    # ---- reading

    async def _read(self, run: _Run, first: bytes) -> bytes:
        """Read the origin's cursor to its end; return the client's first answer.

        Raise UpstreamError, and ArangoError if the origin refuses the rest.
        """
        asked = run.planned.asked
        later = asked.stream  # until its last batch was read nothing of it is committed
        planned = replace(run.planned, body=b"")  # which no worker needs to see again
        head: list[bytes] = []
        rows: UnreadRows | None = None
        last, extra = first, b""
        try:
            while True:
                batch = await self._parsed(planned, last)
                failpoints.reach("keys-read")
                if run.chosen is not None:
                    run.chosen.wrote(batch.versions)
                await self._learn(batch.keys, run, later=later)
                number = asked.size - len(head) if rows is None else 0
                head += batch.rows[:number]
                if rows is None and len(batch.rows) > number:
                    rows = UnreadRows(self._room)
                    await asyncio.to_thread(rows.add, head)
                if rows is not None and len(batch.rows) > number:
                    await asyncio.to_thread(rows.add, batch.rows[number:])
                extra = extra or aql_plan.extra_of(last)
                if batch.id is None:
                    break
                last = await self._next(run.request, batch.id)
            if later:
                await run.attempt.conclude(READ_AGAIN, run.keyed, keep_flips=True)
        except BaseException:
            if rows is not None:
                rows.close()
            raise
        if rows is None:
            return aql_plan.whole(first, last, head)
        return self.cursors.open(run.request, run.operation.database, asked, rows, head, extra)

    async def _parsed(self, planned: Modification | UnkeyedWrite, body: bytes) -> OriginBatch:
        try:
            batch = await self._context.read(
                aql_plan.read, planned, body, size=len(body), odd=None, inline_limit=_INLINE_ANSWER_LIMIT
            )
            # the keys of what was carried out must become known, whatever that takes
            return batch if batch is not None else await asyncio.to_thread(aql_plan.read, planned, body)
        except ValueError as error:
            raise UpstreamOutcomeUnknown("an answer to a query is not an answer of ArangoDB's") from error

    async def _next(self, request: Request, cursor: str) -> bytes:
        prefix = request.target.partition(b"/_api/cursor")[0]
        # a limit on waiting is the first request's: what it wrote is written, and the rest must be read
        headers = [
            pair for pair in with_body(request, b"").headers if pair[0].lower() != b"x-arango-queue-time-seconds"
        ]
        more = Request("POST", prefix + b"/_api/cursor/" + cursor.encode(), headers)
        response = await self._context.origin.request(more)
        body = await collect(response.body)
        if response.status >= 400:
            raise ArangoError(error_number(body) or 500, "the rest of a query's rows could not be read", status=500)
        return body

    async def _learn(self, keys: Mapping[str, Sequence[str]], run: _Run, *, later: bool) -> None:
        """Record intents for the keys of one batch, some at a time: the client's batches may be large.

        They are read again from then on. later: with the last batch, see `_read`.
        """
        for collection, some in keys.items():
            if collection not in run.unkeyed:
                continue
            for start in range(0, len(some), KEYS):
                found = run.attempt.intend(collection, tuple(some[start : start + KEYS]))
                run.keyed.append(found)
                if not later:
                    await run.attempt.conclude(READ_AGAIN, (found,), keep_flips=True)
                await asyncio.sleep(0)
