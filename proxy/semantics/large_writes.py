"""Requests with large bodies, as sequences of smaller ones whose answers are put together. Pure.

An array of documents is carried out as several arrays, an import as several imports, one after the other in one
transaction: each sees what those before it wrote. So every rule for documents is that of small requests. What concerns
the request as a whole is decided here: which error a malformed body gets, and the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Protocol

import msgspec
import orjson

from proxy.base.errors import ArangoError
from proxy.model.endpoint import WriteRoute
from proxy.model.json_faults import BodyFacts, JsonError, Rank
from proxy.model.json_values import dump, parse
from proxy.model.operations import LargeBody, Operation, Outcome
from proxy.semantics.body_parts import NotAnArrayError, array_parts, line_parts, lines_in
from proxy.semantics.document_writes import DocumentWriteRequest
from proxy.semantics.import_formats import NO_ROWS, NOT_AN_ARRAY
from proxy.semantics.imports import ImportRequest, parse_import
from proxy.wire.velocypack_elements import is_array

_PIECE: Final = 256 << 10  # bytes
_DETAILS: Final = b',"details":['
_END: Final = b"]}"
Request = DocumentWriteRequest | ImportRequest
Parse = Callable[[Operation], Request]


class Sink(Protocol):
    """Keeps the bytes of an answer."""

    def append(self, data: bytes) -> None: ...


class PartSize(msgspec.Struct, frozen=True):
    """The size of a part: bytes, and at most that number of documents."""

    bytes: int = 512 << 10
    documents: int = 1000


PART_SIZE: Final = PartSize()


def is_import(operation: Operation) -> bool:
    """Return True if a request that may have parts is an import, and no array of documents."""
    return operation.endpoint.write_route is WriteRoute.IMPORT


def is_packed(operation: Operation) -> bool:
    """Return True if the body is VelocyPack."""
    return "velocypack" in operation.headers.get("content-type", "")


def has_parts(operation: Operation) -> bool:
    """Return True if a request with a large body can be carried out in parts; else its body is one document.

    An array of VelocyPack must be converted to JSON first.
    """
    body = operation.large
    if body is None or operation.key is not None:
        return False
    if is_packed(operation):
        return is_array(body)
    return is_import(operation) or _first_byte(body) == b"["


def whole(operation: Operation) -> Operation:
    """Return the request with its large body in memory."""
    body = operation.large
    return operation if body is None else msgspec.structs.replace(operation, body=body.read(0, body.size), large=None)


def check_target(operation: Operation, parse_request: Parse) -> None:
    """Raise the errors of a request that come before its body is read."""
    if is_import(operation):
        parse_import(operation)
    else:
        parse_request(msgspec.structs.replace(operation, body=b"[]", large=None))


def body_fault(operation: Operation, size: PartSize) -> ArangoError | None:
    """Return the error of a malformed body, which comes before all errors of writing; None if it is not malformed."""
    if operation.large is None or not has_parts(operation):
        return None
    if not is_import(operation):
        return array_fault(operation.large, size)
    try:
        for request in import_requests(operation, size):
            request.items()
    except ArangoError as error:
        return error
    return None


# ---- arrays of documents


def array_requests(operation: Operation, parse_request: Parse, size: PartSize) -> Iterator[Request]:
    """Yield the parts of a request whose body is an array. parse_request: parses a small one of its kind.

    Raise JsonError for a malformed part, and the errors of a misplaced request.
    """
    assert operation.large is not None
    for part in array_parts(_pieces(operation.large), size.bytes, size.documents):
        yield parse_request(msgspec.structs.replace(operation, body=part.text, large=None))


def array_fault(body: LargeBody, size: PartSize) -> JsonError | None:
    """Return the error that an array gets if it is not JSON; None if it is."""
    found: JsonError | None = None
    for part in array_parts(_pieces(body), size.bytes, size.documents):
        try:
            parse(part.text)
        except JsonError as error:
            if found is None or error.rank < found.rank:
                found = error
            if error.rank is Rank.MALFORMED:
                break
    if found is None or found.rank > Rank.PRINTED:
        return found
    return JsonError(_facts(body).message(_reason(part.in_body, found)), found.rank)


def _reason(text: bytes, fault: JsonError) -> str:
    """Return the parser's reason for what is malformed, as it is in the body."""
    if fault.rank is Rank.MALFORMED:
        try:
            parse(text)
        except JsonError as error:
            return error.reason
    return fault.reason


def _facts(body: LargeBody) -> BodyFacts:
    facts = BodyFacts()
    for piece in _pieces(body):
        facts.feed(piece)
    facts.feed(b"", last=True)
    return facts


class ArrayAnswer:
    """The answer to an array, put together of those to its parts. sink: gets the elements; head and tail surround them.

    status, headers: of the whole.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._counts: dict[str, int] = {}
        self.status = 202
        self.head = b""
        self.tail = b""

    def add(self, outcome: Outcome) -> None:
        """Add the answer to the next part."""
        if self.status == 202:  # one part that waited for the disk is enough
            self.status = outcome.status
        codes = outcome.header(b"x-arango-error-codes")
        for number, count in (orjson.loads(codes) if codes else {}).items():
            self._counts[number] = self._counts.get(number, 0) + count
        elements = outcome.body[1:-1]
        if elements:
            self._sink.append(b"," + elements if self.tail else elements)
            self.head, self.tail = b"[", b"]"
        elif not self.tail:
            self.head = outcome.body

    @property
    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        return ((b"x-arango-error-codes", orjson.dumps(self._counts)),) if self._counts else ()


# ---- imports


def import_requests(operation: Operation, size: PartSize) -> Iterator[ImportRequest]:
    """Yield the parts of an import; none of them empties the collection. Raise ArangoError 400, 1204."""
    whole_request = parse_import(operation)
    body = operation.large
    assert body is not None
    params = {name: value for name, value in operation.params.items() if name != "overwrite"}
    kind = params.get("type", "")
    if kind == "auto":
        kind = "array" if _first_byte(body) == b"[" else "documents"
    plain = msgspec.structs.replace(whole_request.operation, params={**params, "type": kind}, large=None)
    if kind in ("array", "list"):
        texts = _import_arrays(body, size)
    elif kind == "documents":
        texts = _import_lines(body, size)
    else:
        texts = _import_rows(body, size)
    for text, first in texts:
        yield ImportRequest(msgspec.structs.replace(plain, body=text), first)


def emptying_request(operation: Operation) -> ImportRequest | None:
    """Return an import of nothing that empties the collection, if the import does that first."""
    params = operation.params
    if not ImportRequest(operation).empties:
        return None
    nothing = {**params, "type": "documents"}
    return ImportRequest(msgspec.structs.replace(operation, params=nothing, large=None))


def _import_arrays(body: LargeBody, size: PartSize) -> Iterator[tuple[bytes, int]]:
    first = 0
    try:
        for part in array_parts(_pieces(body), size.bytes, size.documents):
            yield part.text, first
            first += part.count or 0
    except NotAnArrayError as error:
        raise ArangoError(400, NOT_AN_ARRAY) from error


def _import_lines(body: LargeBody, size: PartSize) -> Iterator[tuple[bytes, int]]:
    first = 0
    for text in line_parts(_pieces(body), size.bytes, size.documents):
        yield text, first
        first += lines_in(text)


def _import_rows(body: LargeBody, size: PartSize) -> Iterator[tuple[bytes, int]]:
    """Yield the parts of the format whose first line has the names: each part begins with that line."""
    names, first = b"", 0
    for text in line_parts(_pieces(body), size.bytes, size.documents):
        rest = text
        if not names:
            line, end, rest = text.partition(b"\n")
            if not end:
                raise ArangoError(400, NO_ROWS)
            names = line + end
        yield names + rest, first
        first += lines_in(rest) if rest else 0


class ImportAnswer:
    """The answer to an import, put together of those to its parts. sink: gets the details; head and tail surround them.

    status, headers: of the whole.
    """

    status = 201
    headers: tuple[tuple[bytes, bytes], ...] = ()

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._counts: dict[str, int] = {}
        self._detailed = False  # the client wants details
        self._begun = False

    def add(self, outcome: Outcome) -> None:
        """Add the answer to the next part."""
        counts, detailed, details = outcome.body.partition(_DETAILS)
        for name, count in orjson.loads(counts + b"}" if detailed else counts).items():
            self._counts[name] = self._counts.get(name, False) + count
        self._detailed = bool(detailed)
        details = details[: -len(_END)]
        if details:
            self._sink.append(b"," + details if self._begun else details)
            self._begun = True

    @property
    def head(self) -> bytes:
        counts = dump({**self._counts, "error": False})
        return counts[:-1] + _DETAILS if self._detailed else counts

    @property
    def tail(self) -> bytes:
        return _END if self._detailed else b""


# ---- reading


def _pieces(body: LargeBody) -> Iterator[bytes]:
    for start in range(0, body.size, _PIECE):
        yield body.read(start, min(start + _PIECE, body.size))


def _first_byte(body: LargeBody) -> bytes:
    """Return the first byte that is not white space; nothing if there is none."""
    return next((found[:1] for piece in _pieces(body) if (found := piece.lstrip())), b"")
