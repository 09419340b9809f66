"""Parts of answers that several groups of endpoints have in common."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from proxy.model.operations import Operation, Outcome
from proxy.wire.encode import json_outcome


def done(operation: Operation, value: dict[str, Any], *, located: bool = False) -> Outcome:
    """Return 200 with `error` and `code` in front. located: with the request's own path as Location."""
    answer = {"error": False, "code": 200, **value}
    if not located:
        return json_outcome(200, answer)
    place = "/".join(quote(part, safe="") for part in (operation.database, *operation.path))
    return json_outcome(200, answer, ((b"location", f"/_db/{place}".encode()),))
