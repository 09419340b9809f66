"""Ask both sides for their present answers: the target by the store, the origin with the proxy's own account."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from proxy.aql.requests import Result
from proxy.base.errors import ArangoError, StatementError, Unsupported, UpstreamError
from proxy.model.endpoint import Effect
from proxy.model.operations import Operation, Outcome
from proxy.shadow.cursor_assembly import CursorBatch, batch_of, merged
from proxy.shadow.diff.compare_answers import QueryAnswer, TargetAnswer
from proxy.shadow.diff.documents import NotComparable, TargetRows
from proxy.shadow.unordered_limit import REASON, Choice, choice
from proxy.stores.base import Store
from proxy.stores.postgres import PostgresStore, answers
from proxy.stores.postgres.compiled_queries import Unfinished
from proxy.stores.postgres.queries import finished
from proxy.wire.encode import error_outcome
from proxy.wire.endpoints import named

# of one cursor's batches; beyond that, the batches that were read are compared as a partial result
_MOST_BYTES: Final = 8 << 20


class _Revision(msgspec.Struct):
    revision: str = ""


_REVISION: Final = msgspec.json.Decoder(_Revision)


class ReadBothSides:
    """Both sides of one proxy's comparisons."""

    def __init__(self, target: PostgresStore, origin: Store) -> None:
        self.store = target
        self._origin = origin

    def comparable(self, operation: Operation) -> None:
        """Raise NotComparable for a query whose answer does not follow from the data of the
        collections that it names.
        """
        try:
            analysis = self.store.analysis(operation)
        except ArangoError:
            return  # both sides refuse it, or one does: that can be compared
        if analysis.choices and (analysis.choices != (REASON,) or choice(operation) is None):
            raise NotComparable("not deterministic")
        if (analysis.dynamic or analysis.graphs) and not operation.extent:
            raise NotComparable("reads collections that only its run determines")

    async def documents(self, collection: str, keys: Sequence[str]) -> dict[str, bytes]:
        """Return the target's documents of these keys, as they are printed. Raise ArangoError, DatabaseError."""
        return await self.store.documents(collection, keys)

    async def target(self, operation: Operation) -> TargetAnswer:
        """Return the target's answer; ArangoDB's errors are answers, and so is a statement that is refused.

        Raise Unsupported, DatabaseUnavailable, and NotComparable if there are too many candidate rows.
        """
        try:
            if operation.effect is not Effect.QUERY:
                return await self.store.execute(operation)
            analysis = self.store.analysis(operation)
            chosen = choice(operation) if analysis.choices == (REASON,) else None
            result = await self.store.query(operation if chosen is None else chosen.operation)
        except Unsupported:
            raise
        except ArangoError as error:
            return error
        except StatementError as error:
            return ArangoError(4, str(error), status=500)
        rows = _rows(result, unordered=analysis.unordered)
        return QueryAnswer(rows if chosen is None else chosen.rows(rows), result.full_count)

    async def pending(self, operation: Operation) -> Pending | ArangoError:
        """Return the same for a light query, with its rows as PostgreSQL gave them.

        Raise as `target`, and NeedsWorker.
        """
        try:
            analysis = self.store.analysis(operation)
            chosen = choice(operation) if analysis.choices == (REASON,) else None
            rows, full = await self.store.unfinished(operation if chosen is None else chosen.operation)
        except Unsupported:
            raise
        except ArangoError as error:
            return error
        except StatementError as error:
            return ArangoError(4, str(error), status=500)
        return Pending(rows, full, analysis.unordered, chosen)

    async def order_undetermined(self, operation: Operation) -> bool:
        """Return True if equal sort keys inside a query leave its result undetermined.

        Raise Unsupported, DatabaseUnavailable.
        """
        try:
            return operation.effect is Effect.QUERY and await self.store.order_undetermined(operation)
        except Unsupported:  # unknown
            raise
        except (ArangoError, StatementError):
            return False  # one side refuses it, which is a difference of another kind

    async def origin(self, operation: Operation) -> Outcome:
        """Return the origin's present answer; of a cursor all batches as one, up to a limit. Raise UpstreamError."""
        first = await self._origin.execute(operation)
        if operation.effect is not Effect.QUERY or first.status != 201:
            return first
        batches, size = [first], len(first.body)
        last = batch_of(first)
        while last is not None and last.more and last.id is not None:
            if size > _MOST_BYTES:
                await self._close(operation.database, last.id)
                break
            following = await self._origin.execute(_cursor(operation.database, last, "POST", "cursor.next"))
            if following.status != 200:
                break
            batches.append(following)
            size += len(following.body)
            last = batch_of(following)
        return merged(batches)

    async def revision(self, collection: str) -> str:
        """Return what changes with every write of a collection; empty if the origin does not report it.

        Raise UpstreamError.
        """
        database, _, name = collection.partition("/")
        path = ("_api", "collection", name, "revision")
        asked = Operation(named("collection.revision"), "GET", database, name, path=path)
        outcome = await self._origin.execute(asked)
        return _REVISION.decode(outcome.body).revision if outcome.status == 200 else ""

    async def _close(self, database: str, cursor: str) -> None:
        with contextlib.suppress(UpstreamError, ArangoError):
            await self._origin.execute(_cursor(database, CursorBatch(cursor), "DELETE", "cursor.delete"))


@dataclass(frozen=True, slots=True)
class Pending:
    """The target's answer to a query before its rows are computed."""

    rows: Unfinished
    full_count: int | None
    unordered: bool
    chosen: Choice | None

    @property
    def size(self) -> int:
        """Approximate bytes."""
        return self.rows.size

    def answer(self) -> QueryAnswer | ArangoError:
        """Compute the answer. Raise NotComparable, Unsupported, and StatementError if it must be evaluated."""
        try:
            result = finished(self.rows, self.full_count)
        except Unsupported:
            raise
        except ArangoError as error:
            return error
        rows = _rows(result, unordered=self.unordered)
        return QueryAnswer(rows if self.chosen is None else self.chosen.rows(rows), result.full_count)


def document_answer(operation: Operation, raw: bytes | None) -> Outcome:
    """Return the target's answer to an unconditional `document.read`, given the document as it is printed; None: there
    is none.
    """
    return error_outcome(ArangoError(1202)) if raw is None else answers.document_outcome(operation, raw)


def _cursor(database: str, batch: CursorBatch, method: str, endpoint: str) -> Operation:
    assert batch.id is not None
    return Operation(named(endpoint), method, database, key=batch.id, path=("_api", "cursor", batch.id))


def _rows(result: Result, *, unordered: bool) -> TargetRows:
    first, last = result.cut if result.cut is not None else (None, None)
    return TargetRows(result.rows, result.groups, first, last, unordered)
