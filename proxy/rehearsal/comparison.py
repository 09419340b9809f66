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
from proxy.rehearsal.decisions import RehearsedDecision
from proxy.rehearsal.observed import AnsweredDocument, ObservedWrite
from proxy.rehearsal.verdicts import EQUAL, Different, Equal
from proxy.shadow.diff.documents import MAX_PATHS, differences

_HEADERS: Final = (b"etag", b"location")


def compare(
    write: ObservedWrite, answered: Sequence[AnsweredDocument], decision: RehearsedDecision, *, many: bool
) -> Equal | Different:
    """Compare ArangoDB's answer, and what it shows to be stored, with what the rules make of the write.

    many: it has an array. Raise ValueError if ArangoDB's answer is not JSON.
    """
    ours = decision.outcomes
    status, body = _joined(ours) if many else (ours[0].status, json_reader.load(ours[0].body))
    theirs = json_reader.load(write.body)
    found = [] if status == write.status else ["status"]
    found += sorted({path for _, path in differences(_plain(theirs), _plain(body))})
    if not many and write.status < 400:
        found += [f"header {name.decode()}" for name in _headers_that_differ(write, ours[0])]
    if not found:
        found = [f"stored {path}" for path in _stored_otherwise(answered, decision.stored)]
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


def _stored_otherwise(answered: Sequence[AnsweredDocument], ours: Mapping[str, bytes | None]) -> Iterator[str]:
    """Yield what differs in the documents that are stored after the write."""
    theirs: dict[str, bytes | None] = {}
    for one in answered:
        if not one.refused and one.rev != one.old_rev and (bytes(one.new) or bytes(one.old)):  # else nothing changed
            theirs[one.key] = bytes(one.new) or None
    if theirs.keys() != ours.keys():
        yield "keys"
        return
    for key, raw in theirs.items():
        other = ours[key]
        if raw is None or other is None:
            if raw is not other:
                yield "presence"
        elif raw != other:
            yield from (path for _, path in differences(json_reader.load(raw), json_reader.load(other)))


def _keys(body: Any) -> Iterator[str]:
    for element in body if isinstance(body, list) else [body]:
        key = element.get("_key") if isinstance(element, Mapping) else None
        if isinstance(key, str):
            yield key


def _shown(status: int, body: Any) -> bytes:
    return dump({"status": status, "body": body})
