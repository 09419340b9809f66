"""Explains a difference in words, by DeepDiff: the only module that imports it.

DeepDiff takes milliseconds to seconds (measured: 7 ms for 2 KB), so it runs in a worker process of its own lane, within
a limit of time and of memory. What it cannot explain within them is left unexplained: class and paths are known without
it.
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


def describe(origin: bytes, target: bytes, values: bool) -> str | None:  # noqa: FBT001 - the worker's calls are positional
    """Return DeepDiff's sentences; None if it has none. Runs in the worker. values: they may quote the documents."""
    from deepdiff import DeepDiff  # noqa: PLC0415 - only the worker needs it

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
    """Return the first place where equal numbers are printed differently: DeepDiff, which compares by value, finds
    nothing there.
    """
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
    """Asks the worker. lane: None for no explanations. values: they may quote the documents."""

    def __init__(self, lane: Lane | None, *, seconds: float = 5.0, values: bool = True) -> None:
        self._lane = lane
        self._seconds = seconds
        self._values = values
        self._waiting = 0

    async def explain(self, origin: bytes, target: bytes) -> str | None:
        """Return sentences about what differs between two JSON texts; None if that takes too much time or memory."""
        if self._lane is None or len(origin) + len(target) > _MAX_INPUT or self._waiting >= _MAX_WAITING:
            return None
        self._waiting += 1
        try:
            explanation: str | None = await self._lane.run(
                describe, origin, target, self._values, seconds=self._seconds
            )
        except IsolationError as error:
            log.warning("mismatch_unexplained", reason=error.reason)
            return None
        finally:
            self._waiting -= 1
        return explanation
