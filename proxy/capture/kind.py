"""WriteKind: what a module of `capture.kinds` declares, and what its functions are given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from proxy.capture.aql import Modifications
from proxy.capture.context import WriteContext
from proxy.capture.transaction_plan import Buffer
from proxy.capture.transactions import Transactions
from proxy.model.message import Request, Response
from proxy.model.operations import Operation
from proxy.routing.route import Route


@dataclass(frozen=True, slots=True)
class WriteParts:
    """What the writes of one proxy share: the context, and what two kinds keep from request to request."""

    context: WriteContext
    modifications: Modifications
    transactions: Transactions


CarryOut = Callable[[WriteParts, Request, Operation, Route], Awaitable[Response]]
CarryOutInTransaction = Callable[[WriteParts, Request, Operation, Route, Buffer], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class WriteKind:
    """One kind of write. Its functions raise UpstreamError, and ArangoError for what the proxy itself refuses.

    carry_out: carries out a write whose body is read and whose route is to capture it. in_transaction: the same for one
    whose headers name a stream transaction, with the transaction's buffer; None for a kind that is never a part of one.
    """

    carry_out: CarryOut
    in_transaction: CarryOutInTransaction | None = None
