"""Answers to document reads as ArangoDB gives them: pure. Rules: protocol page, sections 1 ("If-Match") and 2."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec
import orjson

from proxy.base.errors import ArangoError
from proxy.model import json_reader, json_values
from proxy.model.documents import key_of, valid_key
from proxy.model.operations import Operation, Outcome
from proxy.model.revision import INVALID, decode_rev


class _System(msgspec.Struct):
    key: str = msgspec.field(name="_key", default="")
    id: str = msgspec.field(name="_id", default="")
    rev: str = msgspec.field(name="_rev", default="")


_SYSTEM: Final = msgspec.json.Decoder(_System)
CONFLICT: Final = "conflict, _rev values do not match"
_TRUE: Final = frozenset({"true", "1", "yes", "on", "y"})


def system_of(raw: bytes) -> _System:
    """Return key, handle and revision of a stored document."""
    try:
        return _SYSTEM.decode(raw)
    except msgspec.DecodeError:  # a lone surrogate, which data from before 3.11 may have
        return msgspec.convert(json_reader.load(raw), _System)


def document_outcome(operation: Operation, raw: bytes) -> Outcome:
    """Return 200 with the document as it is stored, 412 by If-Match, or else 304 by If-None-Match."""
    wanted, unwanted = operation.headers.get("if-match"), operation.headers.get("if-none-match")
    system = system_of(raw)
    etag = ((b"etag", b'"' + system.rev.encode() + b'"'),)
    if wanted is not None and header_revision(wanted) != decode_rev(system.rev):
        body = {
            "error": True,
            "code": 412,
            "errorNum": 1200,
            "errorMessage": CONFLICT,
            "_id": system.id,
            "_key": system.key,
            "_rev": system.rev,
        }
        return Outcome(412, json_values.dump(body), etag)
    if unwanted is not None and header_revision(unwanted) == decode_rev(system.rev):
        return Outcome(304, b"", etag, b"text/plain")
    return Outcome(200, raw, etag)


def header_revision(header: str) -> int:
    """Return the revision of an If-Match; -1, which no document has, for anything else (`*`, lists, `W/…`)."""
    text = header.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1]
    found = decode_rev(text)
    return -1 if found == INVALID else found


# ---- PUT ?onlyget


def wanted_items(body: bytes) -> list[Any]:
    """Return the array of a read of many documents. Raise ArangoError 600 if it is not JSON, 10 if not an array."""
    items = json_values.parse(body)
    if not isinstance(items, list):
        raise ArangoError(10, "expecting an array of documents or keys")
    return items


def wanted_keys(items: Sequence[Any]) -> list[str]:
    """Return the valid keys among them, each once."""
    found = {key: None for item in items if (key := key_of(item)) is not None and valid_key(key)}
    return list(found)


def many_outcome(operation: Operation, items: Sequence[Any], found: Mapping[str, bytes]) -> Outcome:
    """Return 200 with an element for each item, a document or an error; x-arango-error-codes counts the errors."""
    parts: list[bytes] = []
    codes = ErrorCodes()
    for part, error in elements(operation, items, found):
        parts.append(part)
        codes.count(error)
    return Outcome(200, b"[" + b",".join(parts) + b"]", codes.headers)


class ErrorCodes:
    """The errors in an array: how often each comes."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}

    def count(self, error: int) -> None:
        """Count the error of an element; 0: it has none."""
        if error:
            self._numbers[error] = self._numbers.get(error, 0) + 1

    @property
    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """The header that states them, if there are any."""
        if not self._numbers:
            return ()
        codes = orjson.dumps({str(number): count for number, count in self._numbers.items()})
        return ((b"x-arango-error-codes", codes),)


def elements(operation: Operation, items: Sequence[Any], found: Mapping[str, bytes]) -> Iterator[tuple[bytes, int]]:
    """Yield for each item its document and 0, or an error and its number."""
    check = operation.params.get("ignoreRevs", "true").lower() not in _TRUE
    for item in items:
        key = key_of(item)
        raw = found.get(key) if key is not None else None
        if key is None:
            yield _element(1205), 1205
        elif raw is None:
            yield _element(1202), 1202
        elif check and _conflicts(item, raw):
            yield _element(1200, CONFLICT), 1200
        else:
            yield raw, 0


@lru_cache(maxsize=16)
def _element(number: int, message: str | None = None) -> bytes:
    error = ArangoError(number, message)
    return json_values.dump({"error": True, "errorNum": number, "errorMessage": error.message})


def _conflicts(item: Any, raw: bytes) -> bool:
    rev = item.get("_rev") if isinstance(item, dict) else None
    return isinstance(rev, str) and decode_rev(rev) != decode_rev(system_of(raw).rev)
