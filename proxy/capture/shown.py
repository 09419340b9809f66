"""A refused document write shows what ArangoDB has: PostgreSQL has it before the client sees the answer.

(mirror-protocol, "Flip", 2.) A write that waits elsewhere for PostgreSQL, or whose answer was lost, is visible at
ArangoDB already; no later read may show less than its conflict did.
"""

from __future__ import annotations

from proxy.capture.answers import DocumentPlan, shown_keys
from proxy.capture.attempt import KEYS
from proxy.capture.context import WriteContext
from proxy.model.message import Request
from proxy.model.parsed_answer import ParsedAnswer


async def ensure_shown(
    context: WriteContext, planned: DocumentPlan, request: Request, status: int, answer: ParsedAnswer
) -> None:
    """Bring the documents that the refusals of an answer show to PostgreSQL, if their collection is flipped."""
    if not context.flipped(planned.collection):
        return
    body = request.body if isinstance(request.body, bytes) else b""
    keys = shown_keys(planned, body, status, answer)
    for start in range(0, len(keys), KEYS):  # each part has its own time: an array may have many refusals
        await context.ensure_replica_has(planned.collection, (), keys[start : start + KEYS])
