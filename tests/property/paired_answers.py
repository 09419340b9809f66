"""Compare answers of two servers that were sent the same requests.

What a server makes up (revisions, ids, generated keys) is compared by identity: for a name of the first, the second
always has the same one. Times and measures are compared by type.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

import orjson

from proxy.model.operations import Outcome

_TOKEN: Final = re.compile(r"idx_\d+|[A-Za-z0-9_-]+")
# what servers make up: revisions, numbers, indexes' names, ids of servers, digests and uuids
_MADE_UP: Final = re.compile(
    r"_[A-Za-z0-9_-]{10}|\d{4,}|idx_\d+|h[0-9A-F]{12}|[0-9a-f]{16,}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
)
# times, measures of work, and what a server knows of itself
_MEASURES: Final = frozenset(
    {
        *("executionTime", "peakMemoryUsage", "time", "created", "cacheHits", "cacheMisses", "scannedFull", "seeks"),
        *("scannedIndex", "documentLookups", "filtered", "cursorsCreated", "cursorsRearmed", "checksum", "tick"),
        *(
            "documentsSize",
            "valid_until",
            "fingerprint",
            "estimatedCost",
            "estimatedNrItems",
            "jwt",
            "token",
            "lastValue",
            "revision",
        ),
    }
)
_TIMES: Final = frozenset({"date", "x-arango-queue-time-seconds"})
_CODES: Final = frozenset({"x-arango-error-codes"})


class Different(AssertionError):
    """The two servers differ."""


class Names:
    """Names that the first server made up, and those of the second that stand for them.

    The second may use one name in two collections, where the first has two.
    """

    def __init__(self) -> None:
        self._theirs: dict[str, str] = {}
        self._known: set[str] = set()

    def known(self, ours: str) -> bool:
        return ours in self._theirs

    def learn(self, ours: str, theirs: str) -> None:
        """Note a pair. Raise Different if it contradicts an earlier one."""
        if ours == theirs and ours not in self._theirs:
            return
        if self._theirs.setdefault(ours, theirs) != theirs:
            raise Different(f"{ours} is {theirs}, and was {self._theirs[ours]}")
        self._known.add(theirs)

    def translate(self, text: str) -> str:
        """Return a text of the first server with the names of the second."""
        return _TOKEN.sub(lambda found: self._theirs.get(found[0], found[0]), text) if self._theirs else text

    def masked(self, text: str) -> str:
        """Return a text of the second server without the names that no pair is known of."""

        def shown(found: re.Match[str]) -> str:
            return "?" if _MADE_UP.fullmatch(found[0]) and found[0] not in self._known else found[0]

        return _TOKEN.sub(shown, text)

    def translated_and_masked(self, text: str) -> str:
        """Return a text of the first server with the names of the second, and without those that no pair is known of.

        The second may have used such a name for something else before, so that it cannot be masked after it.
        """

        def shown(found: re.Match[str]) -> str:
            return self._theirs.get(found[0]) or ("?" if _MADE_UP.fullmatch(found[0]) else found[0])

        return _TOKEN.sub(shown, text)

    def match(self, ours: str, theirs: str) -> None:
        """Learn from two texts. Raise Different if they differ in more than names."""
        if self.translate(ours) == theirs:
            return
        one, other = _TOKEN.findall(ours), _TOKEN.findall(theirs)
        if len(one) != len(other) or _TOKEN.split(ours)[::1] != _TOKEN.split(theirs):
            raise Different(f"{ours!r} is not {theirs!r}")
        for left, right in zip(one, other, strict=True):
            if left != right or self.known(left):
                if not (_MADE_UP.fullmatch(left) and _MADE_UP.fullmatch(right)):
                    raise Different(f"{ours!r} is not {theirs!r}")
                self.learn(left, right)


def compare_outcomes(
    names: Names, ours: Outcome, theirs: Outcome, unordered: Iterable[str] = (), *, any_error: bool = False
) -> None:
    """Raise Different unless the answers are alike. unordered: attributes whose arrays may be in any order.

    any_error: of several mistakes in a request, each server may report another one.
    """
    if any_error and min(ours.status, theirs.status) >= 400 and max(ours.status, theirs.status) < 500:
        return
    if ours.status != theirs.status or ours.content_type != theirs.content_type:
        raise Different(f"{_shown(ours)} is not {_shown(theirs)}")
    try:
        if ours.content_type.startswith(b"application/json") and ours.body and theirs.body:
            left, right = (_parse(one.body) for one in (ours, theirs))
            if any_error and isinstance(left, list):
                left, right = _without_errors(left, right)
            compare_values(names, left, right, frozenset(unordered))
        elif ours.content_type.startswith(b"application/json"):
            _equal(ours.body, theirs.body)
        _compare_headers(names, ours, theirs, left_out=_TIMES | _CODES if any_error else _TIMES)
    except Different as error:
        raise Different(f"{error}\n  {_shown(ours)}\n  {_shown(theirs)}") from None


def compare_values(names: Names, ours: Any, theirs: Any, unordered: frozenset[str], name: str = "") -> None:
    """Compare two JSON values, attributes in their order. Raise Different."""
    if name in _MEASURES:
        if isinstance(ours, str) != isinstance(theirs, str):
            raise Different(f"{name}: {ours!r} is not {theirs!r}")
    elif isinstance(ours, dict) and isinstance(theirs, dict):
        _compare_objects(names, ours, theirs, unordered)
    elif isinstance(ours, list) and isinstance(theirs, list):
        if len(ours) != len(theirs):
            raise Different(f"{name}: {len(ours)} elements are not {len(theirs)}")
        if name in unordered:
            ours = sorted(ours, key=lambda one: names.translated_and_masked(_text(one)))
            theirs = sorted(theirs, key=lambda one: names.masked(_text(one)))
        for one, other in zip(ours, theirs, strict=True):
            compare_values(names, one, other, unordered)
    elif isinstance(ours, str) and isinstance(theirs, str):
        names.match(ours, theirs)
    elif name == "id" and isinstance(ours, int) and isinstance(theirs, int):
        names.match(str(ours), str(theirs))
    else:
        _equal(ours, theirs)


def _compare_objects(names: Names, ours: dict[str, Any], theirs: dict[str, Any], unordered: frozenset[str]) -> None:
    for one, other in zip(ours, theirs, strict=False):
        names.match(one, other)
    if len(ours) != len(theirs):
        raise Different(f"attributes {list(ours)} are not {list(theirs)}")
    for (name, one), other in zip(ours.items(), theirs.values(), strict=True):
        compare_values(names, one, other, unordered, name)


def _compare_headers(names: Names, ours: Outcome, theirs: Outcome, left_out: frozenset[str]) -> None:
    left, right = ([pair for pair in one.headers if pair[0].decode() not in left_out] for one in (ours, theirs))
    _equal([name for name, _ in left], [name for name, _ in right])
    for (_, one), (_, other) in zip(left, right, strict=True):
        names.match(one.decode("latin-1"), other.decode("latin-1"))


def _equal(ours: Any, theirs: Any) -> None:
    if type(ours) is not type(theirs) or ours != theirs:
        raise Different(f"{ours!r} is not {theirs!r}")


def _without_errors(ours: list[Any], theirs: list[Any]) -> tuple[list[Any], list[Any]]:
    """Return the elements of two arrays that are not errors on both sides."""
    kept = [
        pair
        for pair in zip(ours, theirs, strict=False)
        if not all(isinstance(one, dict) and one.get("error") is True for one in pair)
    ]
    return [one for one, _ in kept], [one for _, one in kept]


def _parse(body: bytes) -> Any:
    return orjson.loads(body)


def _text(value: Any) -> str:
    return orjson.dumps(value).decode()


def _shown(outcome: Outcome) -> str:
    return f"{outcome.status} {outcome.body[:700].decode('utf-8', 'replace')}"
