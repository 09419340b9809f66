"""Formats of `/_api/import`: a body as the documents to import, or the problem with each. Protocol page, section 3."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from proxy.base.errors import ArangoError
from proxy.model.json_values import parse, parse_objects
from proxy.model.operations import Operation
from proxy.semantics.request_params import flag

NOT_AN_ARRAY: Final = "expecting a JSON array in the request"
NO_ROWS: Final = "no JSON array found in second line"
_TOGETHER: Final = 200  # lines


class ImportItem(msgspec.Struct, frozen=True, gc=False):
    """One document to import, or the problem with it. position: of its line or element, counted from 0."""

    position: int
    value: Any = None
    problem: str = ""
    empty: bool = False


def items_of(operation: Operation) -> Iterator[ImportItem]:
    """Yield the documents of a body, in the format of `type` (default: rows). Raise ArangoError 400."""
    kind = operation.params.get("type", "")
    body = operation.body
    if kind == "auto":
        kind = "array" if body.lstrip()[:1] == b"[" else "documents"
    if kind in ("array", "list"):
        try:
            values = parse(body)
        except ArangoError:
            values = None
        if not isinstance(values, list):
            raise ArangoError(400, NOT_AN_ARRAY)
        yield from (ImportItem(position, value) for position, value in enumerate(values))
    elif kind == "documents":
        yield from _documents(body)
    else:
        yield from _rows(operation)


def _lines(body: bytes) -> Iterator[tuple[int, bytes]]:
    lines = body.replace(b"\r\n", b"\n").split(b"\n")
    if not lines[-1].strip():
        lines.pop()
    yield from enumerate(line.strip() for line in lines)


def _documents(body: bytes) -> Iterator[ImportItem]:
    lines = list(_lines(body))
    for start in range(0, len(lines), _TOGETHER):
        some = lines[start : start + _TOGETHER]
        values = parse_objects([line for _, line in some])
        if values is None:
            yield from (_line(position, line) for position, line in some)
        else:
            yield from (ImportItem(position, value) for (position, _), value in zip(some, values, strict=True))


def _line(position: int, line: bytes) -> ImportItem:
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
    lines = _lines(operation.body)
    names = _names(next(lines, (0, b""))[1])
    lenient = flag(operation.params, "ignoreMissing")
    for position, line in lines:
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
