"""TTL indexes: when a document expires. PostgreSQL has the same rule: `_crossfade.moment_of`.

The attribute is a number of seconds since the epoch, or a date as text; any other value never expires. A document
expires `expireAfter` seconds later.
"""

from __future__ import annotations

import datetime
import re
from typing import Any, Final

_LARGEST: Final = 1e308
_DATE: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}(?:[T ](?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d{1,6})?)?"
    r"(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)?)?",
    re.ASCII,
)


def is_over(document: Any, path: str, after: float, now: float) -> bool:
    """Return True if a document has expired. path: dotted, of the attribute; after: `expireAfter`."""
    for name in path.split("."):
        document = document.get(name) if isinstance(document, dict) else None
    moment = moment_of(document)
    return moment is not None and moment < now - after


def moment_of(value: object) -> float | None:
    """Return an attribute's value in seconds since the epoch; None if it is not a time."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value) if abs(value) < _LARGEST else None
    if not isinstance(value, str) or _DATE.fullmatch(value) is None:
        return None
    try:
        moment = datetime.datetime.fromisoformat(value)
    except ValueError:
        return None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=datetime.UTC)).timestamp()
