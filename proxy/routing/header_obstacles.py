"""Headers because of which a request can be neither captured nor compared, whatever its endpoint. Pure.

Stream transactions, async jobs, VelocyPack that JSON cannot express, and dirty reads (protocol sections 5 and 8).
"""

from __future__ import annotations

import enum
from collections.abc import Container
from typing import Final

import msgspec

from proxy.model.operations import Operation


class Obstacle(enum.Enum):
    """The kind of obstacle in the headers."""

    ASYNC_JOB = enum.auto()
    PACKED_BODY = enum.auto()
    PACKED_ANSWER = enum.auto()
    DIRTY_READ = enum.auto()
    ENCODED = enum.auto()
    IN_TRANSACTION = enum.auto()


IN_TRANSACTION: Final = "in a transaction"
PACKED: Final = frozenset({Obstacle.PACKED_BODY, Obstacle.PACKED_ANSWER})
_REASONS: Final = {
    Obstacle.ASYNC_JOB: "async job",
    Obstacle.PACKED_BODY: "velocypack",
    Obstacle.PACKED_ANSWER: "velocypack",
    Obstacle.DIRTY_READ: "dirty read",
    Obstacle.ENCODED: "content encoding",
    Obstacle.IN_TRANSACTION: IN_TRANSACTION,
}
_TRUE: Final = frozenset({"true", "1", "yes", "on", "y"})
_TRANSACTION: Final = "x-arango-trx-id"


def header_obstacle(operation: Operation, *, writes: bool = False, allowed: Container[Obstacle] = ()) -> str:
    """Return why this request cannot be captured (`writes`) or compared; empty if it can.

    allowed: obstacles that the caller can deal with. ArangoDB ignores the header of dirty reads in writes.
    """
    headers = operation.headers
    if not headers:
        return ""
    found = []
    if headers.get("x-arango-async", "") in ("true", "store"):
        found.append(Obstacle.ASYNC_JOB)
    if "velocypack" in headers.get("content-type", ""):
        found.append(Obstacle.PACKED_BODY)
    if "velocypack" in headers.get("accept", ""):
        found.append(Obstacle.PACKED_ANSWER)
    if not writes and headers.get("x-arango-allow-dirty-read", "").lower() in _TRUE:
        found.append(Obstacle.DIRTY_READ)
    if headers.get("content-encoding", "identity") not in ("identity", ""):
        found.append(Obstacle.ENCODED)
    if _TRANSACTION in headers:
        found.append(Obstacle.IN_TRANSACTION)
    return next((_REASONS[obstacle] for obstacle in found if obstacle not in allowed), "")


def outside(operation: Operation) -> Operation:
    """Return the same outside of its stream transaction; itself if it is in none."""
    if _TRANSACTION not in operation.headers:
        return operation
    headers = {name: value for name, value in operation.headers.items() if name != _TRANSACTION}
    return msgspec.structs.replace(operation, headers=headers)
