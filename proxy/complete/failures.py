"""The answer of a server whose PostgreSQL fails: 503 in ArangoDB's shape, with nothing of PostgreSQL in it."""

from __future__ import annotations

import structlog

from proxy.base.errors import ArangoError, CommitOutcomeUnknown, DatabaseBusy, DatabaseError, error_label
from proxy.base.sqlstates import TOO_MANY_CONNECTIONS
from proxy.model.operations import Operation, Outcome
from proxy.wire.encode import error_outcome

log = structlog.get_logger(__name__)


def failure_outcome(operation: Operation, error: DatabaseError) -> Outcome:
    """Return the answer, and log the error."""
    log.warning("postgresql_failed", error=error_label(error), endpoint=operation.endpoint.name)
    return error_outcome(ArangoError(503, _message(error), status=503))


def _message(error: DatabaseError) -> str:
    if isinstance(error, CommitOutcomeUnknown):
        return "PostgreSQL does not answer: the write may have happened"
    if isinstance(error, DatabaseBusy) or error.sqlstate == TOO_MANY_CONNECTIONS:
        return "service unavailable: PostgreSQL is overloaded"
    return "PostgreSQL does not answer"
