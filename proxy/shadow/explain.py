"""Explains a difference in words, by DeepDiff: the only module that imports it.

DeepDiff takes milliseconds to seconds (measurements: 7 ms for 2 KB), so it runs in a worker process of its own lane,
within a limit of time and of memory. What it cannot explain within them is left unexplained and counted: class and
paths are known without it.
"""

from __future__ import annotations

from typing import Any, Final

import structlog

from proxy.base.errors import IsolationError
from proxy.isolation import Lane
from proxy.model import json_reader

log = structlog.get_logger(__name__)

_MAX_INPUT: Final = 256 << 10  # bytes of both answers
_MAX_TEXT: Final = 4000  # characters of an explanation
_MAX_WAITING: Final = 4  # differences that wait for the worker or are with it


def describe(origin: bytes, target: bytes, values: bool) -> str | None:
    """In the worker: DeepDiff's sentences; None where it has none. values: whether they may quote the documents."""
    from deepdiff import DeepDiff

    try:
        ours, theirs = json_reader.load(origin), json_reader.load(target)
        found = DeepDiff(ours, theirs, ignore_numeric_type_changes=True, verbose_level=2 if values else 1)
        if not found:
            return _numbers(ours, theirs)
        if values:
            return str(found.pretty())[:_MAX_TEXT]
        return "; ".join(f"{kind}: {', '.join(sorted(map(str, at)))}" for kind, at in found.items())[:_MAX_TEXT]
    except (RecursionError, ValueError):
        return None


def _numbers(origin: Any, target: Any, place: str = "root") -> str | None:
    """The first place where equal numbers are not the same: DeepDiff, which compares by value, finds nothing there."""
    if isinstance(origin, dict):
        places = [(origin[name], target[name], f"{place}[{name!r}]") for name in origin]
    elif isinstance(origin, list):
        places = [(*pair, f"{place}[{at}]") for at, pair in enumerate(zip(origin, target, strict=True))]
    elif isinstance(origin, (int, float)) and (str(origin), type(origin)) != (str(target), type(target)):
        return f"Value of {place} is the same number written in two ways: {origin!r} and {target!r}."
    else:
        return None
    return next((found for one in places if (found := _numbers(*one)) is not None), None)


class Explainer:
    """Asks the worker. `omitted`: explanations that were over a limit. lane: None where there is nobody to ask."""

    def __init__(self, lane: Lane | None, *, seconds: float = 5.0, values: bool = True) -> None:
        self._lane = lane
        self._seconds = seconds
        self._values = values
        self._waiting = 0
        self.omitted = 0

    async def explain(self, origin: bytes, target: bytes) -> str | None:
        """Sentences that say what differs between two JSON texts; None where that takes too long, or too much."""
        explanation = None
        if self._lane is not None and len(origin) + len(target) <= _MAX_INPUT and self._waiting < _MAX_WAITING:
            self._waiting += 1
            try:
                explanation = await self._lane.run(describe, origin, target, self._values, seconds=self._seconds)
            except IsolationError as error:
                log.warning("a difference is left unexplained", reason=error.reason)
            finally:
                self._waiting -= 1
        if explanation is None:
            self.omitted += 1
        return explanation
