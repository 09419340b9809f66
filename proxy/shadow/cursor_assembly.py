"""Cursors that are read in several batches: one comparison of the complete result, after its last batch.

The batches of a cursor have no counterpart in the target, so that they are put together again as the client asks for
them. A cursor that the client abandons, or lets expire, is compared as a partial result. Bounded: beyond MAX_OPEN
cursors or MAX_BYTES, the oldest are compared as partial results.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from proxy.model.endpoint import Effect, Verb
from proxy.model.operations import Operation, Outcome
from proxy.shadow.jobs import ReadToCompare

MAX_OPEN: Final = 256
MAX_BYTES: Final = 8 << 20  # of all open cursors together
_IDLE: Final = 60.0  # seconds without a batch: ArangoDB's time to live is 30


class CursorBatch(msgspec.Struct):
    """The part of an answer that shows if a cursor has more."""

    id: str | None = None
    more: bool = msgspec.field(name="hasMore", default=False)


class _Body(msgspec.Struct, omit_defaults=True):
    result: msgspec.Raw
    more: bool = msgspec.field(name="hasMore", default=False)
    count: int | msgspec.UnsetType = msgspec.UNSET
    extra: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_BATCH: Final = msgspec.json.Decoder(CursorBatch)
_BODY: Final = msgspec.json.Decoder(_Body)


def batch_of(outcome: Outcome) -> CursorBatch | None:
    """Decode a batch; None if the body is not a batch of a cursor."""
    try:
        return _BATCH.decode(outcome.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def cursor_to_follow(operation: Operation, outcome: Outcome) -> str | None:
    """Return the cursor's id if an answer to a query is the first batch of several. Microseconds for all others."""
    if operation.effect is not Effect.QUERY or outcome.status != 201 or b'"hasMore":true' not in outcome.body:
        return None
    batch = batch_of(outcome)
    return batch.id if batch is not None and batch.more else None


def merged(batches: Sequence[Outcome]) -> Outcome:
    """Return one answer with the rows of all batches; `count` and `extra` are the first's, `hasMore` the last's.

    Raise msgspec.DecodeError if one is not a batch.
    """
    if len(batches) == 1:
        return batches[0]
    bodies = [_BODY.decode(batch.body) for batch in batches]
    rows = [inside for body in bodies if (inside := bytes(body.result).strip()[1:-1].strip())]
    whole = _Body(msgspec.Raw(b"[" + b",".join(rows) + b"]"), bodies[-1].more, bodies[0].count, bodies[0].extra)
    return msgspec.structs.replace(batches[0], body=msgspec.json.encode(whole))


def _key(operation: Operation) -> tuple[str, str]:
    """Return database and id of the cursor that a `cursor.next` or `cursor.delete` names."""
    return operation.database, operation.path[2] if len(operation.path) > 2 else ""


@dataclass(slots=True)
class _Open:
    job: ReadToCompare
    batches: list[Outcome]
    touched: float
    size: int
    last: str = ""  # the id of the newest batch, which may be asked for again


class CursorAssembler:
    """The cursors of one proxy that clients are reading. `ready(job)` gets each when it is complete or given up."""

    def __init__(self, ready: Callable[[ReadToCompare], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._ready = ready
        self._clock = clock
        self._open: OrderedDict[tuple[str, str], _Open] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._open)

    def begin(self, cursor: str, job: ReadToCompare) -> None:
        """Add a query whose first batch has been answered."""
        self._open[job.operation.database, cursor] = _Open(job, [job.outcome], self._clock(), len(job.outcome.body))
        self._bytes += len(job.outcome.body)
        while len(self._open) > MAX_OPEN or (self._bytes > MAX_BYTES and len(self._open) > 0):
            self._end(next(iter(self._open)))

    def follows(self, operation: Operation) -> bool:
        """Return True if a request continues, or ends, a cursor that is followed."""
        return bool(self._open) and _key(operation) in self._open

    def continued(self, operation: Operation, outcome: Outcome | None) -> None:
        """Add the answer to a `cursor.next` or `cursor.delete` of a cursor that is followed.

        None: it was too large to keep. Then, and if it is not a batch, what came before is a partial result. An error
        changes nothing: another user may have asked, and the cursor continues.
        """
        key = _key(operation)
        found = self._open.get(key)
        if found is None or (outcome is not None and outcome.status >= 400):
            return
        batch = batch_of(outcome) if outcome is not None and outcome.status == 200 else None
        if outcome is None or batch is None or operation.endpoint.verb is not Verb.NEXT:
            self._end(key)
            return
        asked = operation.path[3] if len(operation.path) > 3 else ""
        if asked and asked == found.last:
            return  # the same batch again: its answer had been lost
        found.last = asked
        found.batches.append(outcome)
        found.size += len(outcome.body)
        found.touched = self._clock()
        self._bytes += len(outcome.body)
        self._open.move_to_end(key)
        if not batch.more or self._bytes > MAX_BYTES:
            self._end(key)

    def expire(self, *, everything: bool = False) -> None:
        """End cursors that no client has read from for a while, or all."""
        limit = self._clock() - _IDLE
        for key in [key for key, found in self._open.items() if everything or found.touched < limit]:
            self._end(key)

    def _end(self, key: tuple[str, str]) -> None:
        found = self._open.pop(key)
        self._bytes -= found.size
        job = found.job
        try:
            job.outcome = merged(found.batches)
        except msgspec.DecodeError:
            job.outcome = found.batches[0]  # compared as a partial result
        self._ready(job)
