"""AQL modifications: rewritten so that they tell their keys, which are then read again (`mirror.modifications`).

An intent without keys is open for each mirrored collection from before the request until the last batch was read. A
cursor that gives more batches has an id of this proxy's own: another instance knows none, and must not pass rows on
that are not the client's.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from proxy.errors import ArangoError, UpstreamError, UpstreamUnavailable
from proxy.mirror import faults, modifications
from proxy.mirror.intent import Intent
from proxy.mirror.modifications import Modification, Untold
from proxy.mirror.transactions import Buffer
from proxy.operations import Operation
from proxy.routing import Route
from proxy.wire.message import Request, Response
from proxy.writing import opaque
from proxy.writing.kit import Kit, collect, error_number, plain

# as stores/postgres/cursors: decimal, above every tick of a server, inside 64 bits; another prefix than there
_PREFIX = "9001"
_OWN = re.compile(_PREFIX + r"\d{15}")
_GRACE = 5.0  # seconds beyond its time to live until a cursor that nobody asks for is given up


@dataclass(slots=True)
class _Cursor:
    """whole: every batch that the origin gave was read; the keys of one that was lost are told by nobody."""

    origin_id: str
    planned: Modification
    intents: Mapping[str, Intent]
    timer: asyncio.TimerHandle
    buffer: Buffer | None
    whole: bool = True


class Modifications:
    """Carries them out; owns the cursors that are not at their end."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self._cursors: dict[str, _Cursor] = {}

    def close(self) -> None:
        """Forgets the cursors; their intents are in the journal."""
        for cursor in self._cursors.values():
            cursor.timer.cancel()
        self._cursors.clear()

    @staticmethod
    def owns(operation: Operation) -> bool:
        """Whether it goes on with a cursor that an instance of this proxy opened for a modification."""
        return operation.endpoint in ("cursor.next", "cursor.delete") and bool(_OWN.fullmatch(operation.path[2]))

    async def capture(
        self, request: Request, operation: Operation, way: Route, buffer: Buffer | None = None
    ) -> Response:
        """Runs a modification. Raises UpstreamError; what it then wrote is found by the journal's intents.

        buffer: of the transaction that it runs in, whose end its intents wait for.
        """
        kit = self._kit
        planned = modifications.plan(operation.body, operation.database)
        if isinstance(planned, str):
            return await opaque.forward(kit, request, operation, way.because(f"AQL modification: {planned}"))
        if isinstance(planned, Untold):
            return await self._untold(request, operation, planned, way, buffer)
        intents = {name: kit.mirror.intend(name, (), revised=name in planned.revised) for name in way.collections}
        faults.reach("after-intend")
        known: list[Intent] = []
        flight, mirror = kit.flight, kit.mirror
        with flight.during(
            flight.captured,
            way.collections,
            kit.lease.generation,
            left=lambda: [one.collection for one in (*intents.values(), *known) if mirror.is_open(one)],
        ):
            response = await self._sent(plain(request, planned.body), intents, buffer)
            faults.reach("after-forward")
            first = await collect(response.body)
            if response.status >= 400:
                self._failed(planned, intents, response.status, first, buffer)
            else:
                try:
                    first = await self._read(request, planned, intents, known, first, buffer)
                except (UpstreamError, ArangoError, ValueError):
                    self._give_up(intents, buffer, lost=True)
                    raise
            if buffer is None:
                await kit.applied(known if response.status < 400 else tuple(intents.values()))
        return Response(response.status, response.headers, first, response.reason)

    async def _untold(
        self, request: Request, operation: Operation, planned: Untold, way: Route, buffer: Buffer | None
    ) -> Response:
        """Forwards it as it is: what it wrote is found by its revisions; where it removes, all of it is compared.

        Either may end in a mark instead, so flips are taken back first (I7), as in `untold`.
        """
        kit, mirror = self._kit, self._kit.mirror
        swept = tuple(name for name in way.collections if name in planned.removed)
        await kit.given_way(request, operation.database, way.collections, f"AQL modification: {planned.why}")
        intents = {name: mirror.intend(name, (), revised=True) for name in way.collections if name not in swept}
        if swept:
            intents[swept[0]] = mirror.intend(swept[0], swept, sweep="removal by a query")
        open_in = {**intents, **dict.fromkeys(swept, intents[swept[0]])} if swept else intents  # one for all swept
        faults.reach("after-intend")
        with kit.flight.during(
            kit.flight.captured,
            way.collections,
            kit.lease.generation,
            left=lambda: [name for name, one in open_in.items() if mirror.is_open(one)],
        ):
            response = await self._sent(request, intents, buffer)
            faults.reach("after-forward")
            body = await collect(response.body)
            if response.status >= 400 and error_number(body) in opaque.NEVER_RAN:
                self._end(intents)
            else:
                self._give_up(intents, buffer, lost=response.status >= 500)
            if buffer is None:
                await kit.applied(tuple(intents.values()))
        return Response(response.status, response.headers, body, response.reason)

    async def _sent(self, request: Request, intents: Mapping[str, Intent], buffer: Buffer | None) -> Response:
        if buffer is None:
            return await self._kit.forward(request, *intents.values())
        try:
            return await self._kit.origin.request(request)
        except UpstreamUnavailable:
            self._end(intents)
            raise
        except (UpstreamError, asyncio.CancelledError):
            self._give_up(intents, buffer)
            raise

    def _failed(
        self,
        planned: Modification,
        intents: Mapping[str, Intent],
        status: int,
        body: bytes,
        buffer: Buffer | None,
    ) -> None:
        """A query that failed may have written, by intermediate commits (protocol page, section 4)."""
        if error_number(body) in opaque.NEVER_RAN or (planned.once and status < 500):
            for intent in intents.values():
                self._kit.mirror.settled_nothing(intent)
        else:
            self._give_up(intents, buffer, lost=status >= 500)

    def _give_up(self, intents: Mapping[str, Intent], buffer: Buffer | None, *, lost: bool = False) -> None:
        """Nobody will tell more keys: a scan by revisions finds what was written, or the collection is unverified."""
        if buffer is not None and not buffer.ended:
            buffer.keep(intents.values())
            return
        for intent in intents.values():
            (self._kit.mirror.lost if lost else self._kit.mirror.reread)(intent)

    async def _read(
        self,
        request: Request,
        planned: Modification,
        intents: Mapping[str, Intent],
        known: list[Intent],
        first: bytes,
        buffer: Buffer | None,
    ) -> bytes:
        """Takes the keys of the first batch, of all where the client gets no rows; gives the client's body."""
        shown = _PREFIX + f"{secrets.randbelow(10**15):015}"
        batch = modifications.read(planned, first, shown)
        faults.reach("keys-read")
        self._learn(batch.keys, intents, known, buffer)
        if planned.returns:
            if batch.id is None:
                self._end(intents)
            else:
                self._open(shown, batch.id, planned, intents, buffer)
            return batch.body
        last = first
        prefix = request.target.partition(b"/_api/cursor")[0]
        while batch.id is not None:
            more = Request("POST", prefix + b"/_api/cursor/" + batch.id.encode(), plain(request, b"").headers)
            response = await self._kit.origin.request(more)
            last = await collect(response.body)
            if response.status >= 400:
                raise ArangoError(error_number(last) or 500, "the rest of a query's keys could not be read", status=500)
            batch = modifications.read(planned, last, shown)
            faults.reach("keys-read")
            self._learn(batch.keys, intents, known, buffer)
        self._end(intents)
        return modifications.without_rows(first, last)

    def _learn(
        self,
        keys: Mapping[str, Sequence[str]],
        intents: Mapping[str, Intent],
        known: list[Intent],
        buffer: Buffer | None,
    ) -> None:
        for collection, some in keys.items():
            if collection in intents:
                found = self._kit.intend_keys(collection, tuple(some))
                known += found
                if buffer is not None and not buffer.ended:
                    buffer.keep(found)
                    continue
                for intent in found:
                    self._kit.mirror.reread(intent)

    def _end(self, intents: Mapping[str, Intent]) -> None:
        """All keys have intents of their own."""
        for intent in intents.values():
            self._kit.mirror.settled_nothing(intent)

    # ---- cursors

    def _open(
        self,
        shown: str,
        origin_id: str,
        planned: Modification,
        intents: Mapping[str, Intent],
        buffer: Buffer | None,
    ) -> None:
        timer = asyncio.get_running_loop().call_later(planned.ttl + _GRACE, self._expire, shown)
        self._cursors[shown] = _Cursor(origin_id, planned, intents, timer, buffer)

    def _expire(self, shown: str) -> None:
        cursor = self._cursors.pop(shown, None)
        if cursor is not None:
            cursor.timer.cancel()
            self._give_up(cursor.intents, cursor.buffer)

    async def go_on(self, request: Request, operation: Operation) -> Response:
        """The next batch, or the end, of a cursor that `owns` says is one of these."""
        kit, shown = self._kit, operation.path[2]
        cursor = self._cursors.get(shown)
        if cursor is None:
            raise ArangoError(1600)
        target = request.target.replace(shown.encode(), cursor.origin_id.encode(), 1)
        asked = Request(request.method, target, plain(request, b"").headers, await collect(request.body))
        whole, cursor.whole = cursor.whole, False  # until this answer was read
        try:
            response = await kit.origin.request(asked)
        except UpstreamUnavailable:
            cursor.whole = whole
            raise
        body = await collect(response.body)
        if operation.endpoint == "cursor.delete":
            if response.status < 400:
                self._expire(shown)
                body = body.replace(cursor.origin_id.encode(), shown.encode(), 1)
            return Response(response.status, response.headers, body, response.reason)
        if response.status >= 400:
            cursor.whole = whole and response.status < 500
            if response.status == 404:
                self._expire(shown)
            return Response(response.status, response.headers, body, response.reason)
        batch = modifications.read(cursor.planned, body, shown)
        cursor.whole = whole
        faults.reach("keys-read")
        known: list[Intent] = []
        self._learn(batch.keys, cursor.intents, known, cursor.buffer)
        cursor.timer.cancel()
        if batch.id is None and cursor.whole:
            self._end(cursor.intents)
        elif batch.id is None:
            self._give_up(cursor.intents, cursor.buffer, lost=True)
        if batch.id is None and not cursor.planned.retries:
            self._cursors.pop(shown, None)
        else:
            loop = asyncio.get_running_loop()
            cursor.timer = loop.call_later(cursor.planned.ttl + _GRACE, self._expire, shown)
        if cursor.buffer is None:
            await kit.applied(known)
        return Response(response.status, response.headers, batch.body, response.reason)
