"""The origin's answers since a read that differed: lag is proven if the target shows one of those states. Pure.

On documents that are written all the time both sides may never agree at one moment, since the target is always a little
late. But a target that shows what the origin answered at that read, or later, has only lagged. Answers that contain
several documents (rows with `_id`, many documents by key) are compared document by document, because they need not all
be shown at one moment: what differed in the first comparison is decided piece by piece.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from proxy.model import json_reader
from proxy.model.endpoint import Effect, Read
from proxy.model.operations import Operation, Outcome
from proxy.shadow.diff.compare_answers import QueryAnswer, TargetAnswer, compare_answers, error_of
from proxy.shadow.diff.documents import canonical
from proxy.shadow.diff.tolerances import Tolerance, apply_tolerances

_ANSWERS: Final = 24  # answers that are kept, the first among them
_BYTES: Final = 256 << 10  # of all of them
_ABSENT: Final = b""


class OriginHistory:
    """Answers of the origin to one operation, from the first comparison on."""

    def __init__(
        self, operation: Operation, origin: Outcome, target: TargetAnswer, rules: tuple[Tolerance, ...] = ()
    ) -> None:
        """origin, target: the first comparison, which differed. Raise ValueError if an answer is not JSON."""
        self._operation = operation
        self._rules = rules
        self._answers: list[Outcome] = []
        self._bytes = 0
        self._versions: dict[str, set[bytes]] = {}
        self._left: set[str] | None = None
        self.add(origin)
        ours, theirs = self._parts(origin, target)
        if ours is not None and theirs is not None:
            names = ours.keys() | theirs.keys()
            # none differs by itself: their order does, which is not a property of documents
            self._left = {name for name in names if ours.get(name) != theirs.get(name)} or None

    def add(self, origin: Outcome) -> None:
        """Add an answer of the origin."""
        if any(origin.status == known.status and origin.body == known.body for known in self._answers[-2:]):
            return
        if len(self._answers) >= _ANSWERS or self._bytes + len(origin.body) > _BYTES:
            if len(self._answers) < 2:
                return
            self._bytes -= len(self._answers.pop(1).body)
        self._answers.append(origin)
        self._bytes += len(origin.body)
        parts, _ = self._parts(origin, None)
        if parts is not None:
            for name in self._versions.keys() - parts.keys():
                self._versions[name].add(_ABSENT)
            for name, text in parts.items():
                known = self._versions.setdefault(name, set() if len(self._answers) == 1 else {_ABSENT})
                known.add(text)

    def explains(self, target: TargetAnswer) -> bool:
        """Return True if the target's answer is one that the origin gave, as a whole or piece by piece."""
        for origin in self._answers:
            if (
                compare_answers(self._operation, *apply_tolerances(self._operation, origin, target, self._rules))
                is None
            ):
                return True
        if not self._left:
            return False
        _, parts = self._parts(None, target)
        if parts is not None:
            self._left -= {
                name for name in self._left if parts.get(name, _ABSENT) in self._versions.get(name, {_ABSENT})
            }
        return not self._left

    def _parts(
        self, origin: Outcome | None, target: TargetAnswer | None
    ) -> tuple[Mapping[str, bytes] | None, Mapping[str, bytes] | None]:
        """Return both answers by document; None for one that is not given, or that is not an answer of documents."""
        ours = self._of_outcome(origin) if origin is not None else None
        if isinstance(target, QueryAnswer):
            return ours, _by_id(target.rows.rows)
        return ours, self._of_outcome(target) if isinstance(target, Outcome) else None

    def _of_outcome(self, outcome: Outcome) -> Mapping[str, bytes] | None:
        if error_of(outcome) is not None or outcome.status >= 300:
            return None
        if self._operation.endpoint.read is Read.MANY:
            elements = json_reader.load(outcome.body)
            return {str(place): canonical(_told(element)) for place, element in enumerate(elements)}
        if self._operation.effect is Effect.QUERY:
            return _by_id(json_reader.load(outcome.body)["result"])
        return None


def _told(element: Any) -> Any:
    """Return the number of an error inside an array, whose messages may differ; any other element itself."""
    return element.get("errorNum") if isinstance(element, dict) and element.get("error") is True else element


def _by_id(rows: Any) -> Mapping[str, bytes] | None:
    found: dict[str, bytes] = {}
    for row in rows:
        identity = row.get("_id") if isinstance(row, dict) else None
        if not isinstance(identity, str) or identity in found:
            return None
        found[identity] = canonical(row)
    return found
