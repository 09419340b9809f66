"""The waits of a client's request, apart from those for ArangoDB and PostgreSQL: each has a bound, a name, a metric.

A read that takes seconds must be explainable from the metrics of its minute: every wait on a request's path has one of
these reasons, is counted in `crossfade_request_wait_duration_seconds`, and is logged if it took long.

    flip        a query, for the end of a flip that holds queries              bound: `flip_hold_timeout`
    promotion   a request, until it is decided who takes the writes            bound: `flip_hold_timeout`
    reverse     an answer, for ArangoDB to have a promoted collection's write  bound: 10 s
    both        an answer, for PostgreSQL to have what it contains             bound: three leases, then the own lease
    cut off     a read, for a heartbeat after one that failed                  bound: the lease
    memory      a large body, for room in the memory that bodies may take      bound: `request_timeout`
    rights      a read from PostgreSQL, for ArangoDB to check the rights       bound: proxy/gateway/authorization.py

A read waits in the pool for a connection as well (proxy/gateway/target_reads.py): if that takes too long, it is counted
in `crossfade_read_fallbacks_total` as `busy`.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final, Literal, ParamSpec, TypeVar

import structlog

from proxy.base import metrics

log = structlog.get_logger(__name__)

Reason = Literal["flip", "promotion", "reverse", "both", "cut off", "memory", "rights"]
Result = TypeVar("Result")
Given = ParamSpec("Given")
_COUNTED: Final = 0.001  # seconds: shorter waits are not counted
_LONG: Final = 1.0


def timed_wait(
    reason: Reason,
) -> Callable[[Callable[Given, Coroutine[Any, Any, Result]]], Callable[Given, Coroutine[Any, Any, Result]]]:
    """Return a decorator for the function that waits."""

    def decorate(
        function: Callable[Given, Coroutine[Any, Any, Result]],
    ) -> Callable[Given, Coroutine[Any, Any, Result]]:
        @functools.wraps(function)
        async def waiting(*values: Given.args, **named: Given.kwargs) -> Result:
            began = time.monotonic()
            try:
                return await function(*values, **named)
            finally:
                took = time.monotonic() - began
                if took > _COUNTED:
                    metrics.WAIT_DURATION.labels(reason).observe(took)
                if took > _LONG:
                    log.warning("request_waited", reason=reason, seconds=round(took, 2))

        return waiting

    return decorate
