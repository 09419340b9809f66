"""Requests for cursors, for every store that answers them. Pure. Rules: protocol page, section 4.

`stream` is accepted at the top level and in the options. A stream ignores `count` and `fullCount`. With `allowRetry`
the current batch can be requested again; the last one too, until the cursor is deleted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from proxy.base.errors import ArangoError
from proxy.model.json_values import parse

DEFAULT_TTL: Final = 30.0  # seconds, a single server's
DEFAULT_BATCH: Final = 1000


@dataclass(frozen=True, slots=True)
class CursorRequest:
    """The body of POST /_api/cursor. batch_size: rows; ttl, max_runtime: seconds; memory_limit: bytes; 0: none.

    options: as sent, with the memory limit, which a client may also set at the top level. extent: `Operation.extent`.
    """

    query: str
    bind_vars: dict[str, Any] = field(default_factory=dict)
    batch_size: int = DEFAULT_BATCH
    count: bool = False
    ttl: float = DEFAULT_TTL
    allow_retry: bool = False
    full_count: bool = False
    fail_on_warning: bool = False
    memory_limit: int = 0
    max_runtime: float = 0.0
    streaming: bool = False
    profile: int = 0
    max_warnings: int = 10
    options: dict[str, Any] = field(default_factory=dict)
    extent: frozenset[str] = frozenset()


def request_of(body: bytes, extent: frozenset[str] = frozenset()) -> CursorRequest:
    """Parse a body. Raise ArangoError 600 (not JSON, or an empty object), 1502 (no query), 17 (a wrong type)."""
    parsed = parse(body) if body.strip() else None
    if parsed == {}:
        raise ArangoError(600, "expecting a query in the request")
    query = parsed.get("query") if isinstance(parsed, dict) else None
    if not isinstance(parsed, dict) or not isinstance(query, str) or not query:
        raise ArangoError(1502)
    given, binds = parsed.get("options"), parsed.get("bindVars")
    if binds is not None and not isinstance(binds, dict):
        raise ArangoError(17, "expecting object for <bindVars>", status=400)
    options: dict[str, Any] = given if isinstance(given, dict) else {}
    size = _number(parsed.get("batchSize"), DEFAULT_BATCH)
    if size < 1:  # with a part of a row per batch, a cursor would never end
        raise ArangoError(17, "expecting positive value for <batchSize>", status=400)
    ttl = _number(parsed.get("ttl"), DEFAULT_TTL)
    streaming = parsed.get("stream") is True or options.get("stream") is True
    memory = options["memoryLimit"] if _is_number(options.get("memoryLimit")) else parsed.get("memoryLimit")
    limit = int(max(0.0, _number(memory, 0)))
    return CursorRequest(
        query,
        binds or {},
        int(size),
        parsed.get("count") is True and not streaming,
        ttl if ttl > 0 else DEFAULT_TTL,
        options.get("allowRetry") is True,
        options.get("fullCount") is True and not streaming,
        options.get("failOnWarning") is True,
        limit,
        max(0.0, _number(options.get("maxRuntime"), 0)),
        streaming,
        profile := _profile(options.get("profile")),
        int(max(0.0, _number(options.get("maxWarningCount"), 10))),
        {
            **options,
            "memoryLimit": limit,
            "fullCount": options.get("fullCount") is True and not streaming,
            "profile": profile,
        },
        extent,
    )


def misplaced_batch(wanted: str, current: int) -> ArangoError:
    """Return the error for a batch that is not the next one, nor the current one of a query with `allowRetry`."""
    if wanted == str(current):
        return ArangoError(400, "expecting allowRetry option to be true")
    return ArangoError(1600, "batch id not found")


def _profile(value: object) -> int:
    """Return the level of a profile, which may be given as false, true, or a number."""
    if isinstance(value, bool):
        return int(value)
    return min(max(int(value), 0), 3) if isinstance(value, int | float) else 0


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: object, default: float) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else default
