"""Answers that the listener itself gives, in ArangoDB's error shape; the answer for an exception of a handler."""

from __future__ import annotations

import traceback

import structlog

from proxy.base.errors import ArangoError, FramingError, UpstreamError
from proxy.model.message import Response
from proxy.wire.encode import encode, error_outcome

logger = structlog.get_logger("crossfade.http")


def error_response(status: int, number: int, message: str) -> Response:
    """Return ArangoDB's error object as a response: `code` is the status, `errorNum` the number."""
    return encode(error_outcome(ArangoError(number, message, status=status)))


def failure(error: Exception, method: str) -> Response:
    """Return the answer for an exception that a handler raised; unexpected ones are logged, without their values.

    A message may quote a document, so the log has the exception's type and the place where it was raised.
    """
    if isinstance(error, ArangoError):
        return error_response(error.status, error.number, error.message)
    if isinstance(error, FramingError):
        return error_response(error.status, error.status, str(error))
    if isinstance(error, UpstreamError):
        return error_response(503, 503, str(error))
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    where = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in reversed(frames)]
    logger.error("handler_failed", method=method, error=type(error).__qualname__, where=where)
    return error_response(500, 500, "internal error")
