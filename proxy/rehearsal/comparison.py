"""The answer of the rules beside ArangoDB's: status, number of the error, body, revision in the header. Pure.

Texts of errors are not compared: they differ between ArangoDB's versions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from proxy.model import json_reader
from proxy.model.json_values import dump
from proxy.model.message import header
from proxy.model.operations import Outcome
from proxy.rehearsal.observed import ObservedWrite
from proxy.rehearsal.verdicts import EQUAL, Different, Equal
from proxy.shadow.diff.documents import MAX_PATHS, differences

_HEADERS: Final = (b"etag", b"location")


def compare(write: ObservedWrite, ours: Sequence[Outcome], *, many: bool) -> Equal | Different:
    """Compare ArangoDB's answer with that of the rules: of an array (`many`) one outcome for each element.

    Raise ValueError if ArangoDB's answer is not JSON.
    """
    status, body = _joined(ours) if many else (ours[0].status, json_reader.load(ours[0].body))
    theirs = json_reader.load(write.body)
    found = [] if status == write.status else ["status"]
    found += sorted({path for _, path in differences(_plain(theirs), _plain(body))})
    if not many and write.status < 400:
        found += [f"header {name.decode()}" for name in _headers_that_differ(write, ours[0])]
    if not found:
        return EQUAL
    keys = tuple(dict.fromkeys(_keys(theirs)))
    paths = tuple(found if len(found) <= MAX_PATHS else [*found[: MAX_PATHS - 1], "…"])
    return Different(paths, _shown(write.status, theirs), _shown(status, body), keys)


def _joined(ours: Sequence[Outcome]) -> tuple[int, list[Any]]:
    """Return status and body of an array's answer: it waited for the disk if one of its elements did."""
    elements = [element for outcome in ours for element in json_reader.load(outcome.body)]
    return min((outcome.status for outcome in ours), default=202), elements


def _plain(value: Any) -> Any:
    """Return an answer without the texts of its errors."""
    if isinstance(value, list):
        return [_plain(element) for element in value]
    if isinstance(value, dict) and value.get("error") is True:
        return {name: child for name, child in value.items() if name != "errorMessage"}
    return value


def _headers_that_differ(write: ObservedWrite, ours: Outcome) -> Iterator[bytes]:
    for name in _HEADERS:
        if header(write.headers, name) != ours.header(name):
            yield name


def _keys(body: Any) -> Iterator[str]:
    for element in body if isinstance(body, list) else [body]:
        key = element.get("_key") if isinstance(element, Mapping) else None
        if isinstance(key, str):
            yield key


def _shown(status: int, body: Any) -> bytes:
    return dump({"status": status, "body": body})
