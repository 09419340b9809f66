"""Formats of `/_api/import`: a body as the documents to import, or the problem with each. Protocol page, section 3."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from proxy.base.errors import ArangoError
from proxy.model.json_values import parse, parse_array, parse_objects
from proxy.model.operations import Operation
from proxy.semantics.request_params import flag

NOT_AN_ARRAY: Final = "expecting a JSON array in the request"
NO_ROWS: Final = "no JSON array found in second line"
_TOGETHER: Final = 200  # lines


class ImportItem(msgspec.Struct, frozen=True, gc=False):
    """One document to import, or the problem with it. position: of its line or element, counted from 0.

    text: the document as ArangoDB prints it, if that is known.
    """

    position: int
    value: Any = None
    problem: str = ""
    empty: bool = False
    text: bytes = b""


def items_of(operation: Operation) -> Iterator[ImportItem]:
    """Yield the documents of a body, in the format of `type` (default: rows). Raise ArangoError 400."""
    kind = operation.params.get("type", "")
    body = operation.body
    if kind == "auto":
        kind = "array" if body.lstrip()[:1] == b"[" else "documents"
    if kind in ("array", "list"):
        try:
            values, texts = parse_array(body)
        except ArangoError:
            values, texts = None, ()
        if not isinstance(values, list):
            raise ArangoError(400, NOT_AN_ARRAY)
        yield from _items(0, values, texts)
    elif kind == "documents":
        yield from _documents(body)
    else:
        yield from _rows(operation)


def _items(first: int, values: Sequence[Any], texts: Sequence[bytes]) -> Iterator[ImportItem]:
    """Yield documents with their texts, if there are such. first: the position of the first one."""
    if not texts:
        return (ImportItem(position, value) for position, value in enumerate(values, first))
    pairs = enumerate(zip(values, texts, strict=True), first)
    return (ImportItem(position, value, "", False, text) for position, (value, text) in pairs)  # noqa: FBT003


def _lines(body: bytes) -> list[bytes]:
    lines = (body.replace(b"\r\n", b"\n") if b"\r" in body else body).split(b"\n")
    if not lines[-1].strip():
        lines.pop()
    return lines


def _documents(body: bytes) -> Iterator[ImportItem]:
    lines = _lines(body)
    for start in range(0, len(lines), _TOGETHER):
        some = lines[start : start + _TOGETHER]
        found = parse_objects(some)
        if found is None:
            yield from (_line(position, line) for position, line in enumerate(some, start))
        else:
            yield from _items(start, *found)


def _line(position: int, line: bytes) -> ImportItem:
    line = line.strip()
    if not line:
        return ImportItem(position, empty=True)
    try:
        return ImportItem(position, parse(line))
    except ArangoError:
        return ImportItem(
            position, problem="invalid JSON type (expecting object, probably parse error)" + offending(line)
        )


def _rows(operation: Operation) -> Iterator[ImportItem]:
    """Yield documents of the oldest format: a line with an array of names, then lines with arrays of values; null means
    no attribute.
    """
    if b"\n" not in operation.body:
        raise ArangoError(400, NO_ROWS)
    first, *lines = _lines(operation.body) or [b""]
    names = _names(first.strip())
    lenient = flag(operation.params, "ignoreMissing")
    for position, line in enumerate(map(bytes.strip, lines), 1):
        item = _line(position, line)
        values = item.value
        if item.empty or item.problem:
            yield item
        elif not isinstance(values, list):
            yield ImportItem(position, problem="no valid JSON array data" + offending(line))
        elif len(values) != len(names) and not lenient:
            expected = f"wrong number of JSON values (got {len(values)}, expected {len(names)})"
            yield ImportItem(position, problem=expected + offending(line))
        else:
            pairs = zip(names, values, strict=False)
            yield ImportItem(position, {name: value for name, value in pairs if value is not None})


def _names(line: bytes) -> list[str]:
    try:
        names = parse(line)
    except ArangoError:
        names = None
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise ArangoError(400, "no JSON string array found in first line")
    return names


def offending(text: bytes) -> str:
    """Return the end of a message: the document that it is about."""
    return ", offending document: " + text.decode("utf-8", "replace")
