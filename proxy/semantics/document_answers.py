"""Answers to requests for documents: one document or an array, in the shapes and statuses of ArangoDB.

Protocol page, section 2.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from proxy.base.errors import ArangoError
from proxy.model.json_values import dump, within_quotes
from proxy.model.operations import Operation, Outcome
from proxy.model.revision import decode_rev
from proxy.semantics.request_params import flag
from proxy.semantics.write_rules import ConflictError, WriteResult


@dataclass(frozen=True, slots=True)
class AnswerShape:
    """The parts of an answer, and its status: `synced` if the write waits for the disk, else 202."""

    waits: bool
    return_new: bool
    return_old: bool
    silent: bool
    synced: int = 201
    update_of: bool = True  # `_oldRev` is shown


class ElementErrors:
    """The errors of an array's elements, counted by number for a header."""

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}

    def __bool__(self) -> bool:
        return bool(self._counts)

    def element(self, error: ArangoError) -> bytes:
        """Count an error, and return what stands for its element in the answer."""
        self._counts[error.number] = self._counts.get(error.number, 0) + 1
        return dump({"error": True, "errorNum": error.number, "errorMessage": error.message})

    def header(self) -> tuple[tuple[bytes, bytes], ...]:
        """Return the header with the counts; nothing if there was no error."""
        if not self._counts:
            return ()
        text = ",".join(f'"{number}":{count}' for number, count in self._counts.items())
        return ((b"x-arango-error-codes", f"{{{text}}}".encode()),)


def shape_of(operation: Operation, *, collection_waits: bool, removal: bool = False) -> AnswerShape:
    """Return the shape that a request's parameters ask for. collection_waits: waitForSync of its collection."""
    params = operation.params
    silent = flag(params, "silent")
    return AnswerShape(
        flag(params, "waitForSync") or collection_waits,
        flag(params, "returnNew") and not silent,
        flag(params, "returnOld") and not silent,
        silent,
        synced=200 if removal else 201,
        update_of=not removal,
    )


def single_outcome(operation: Operation, collection: str, written: WriteResult, shape: AnswerShape) -> Outcome:
    """Return the answer to the write of one document."""
    status = shape.synced if shape.waits else 202
    if shape.silent:
        return Outcome(status, b"{}")
    location = f"{_document_path(operation.database, collection)}{quote(written.key, safe='')}"
    return Outcome(status, shown(collection, written, shape), (*etag(written.rev), (b"location", location.encode())))


@functools.lru_cache(1024)
def _document_path(database: str, collection: str) -> str:
    """Return the beginning of the path of a collection's documents."""
    return f"/_db/{quote(database, safe='')}/_api/document/{quote(collection, safe='')}/"


def many_outcome(collection: str, results: Sequence[WriteResult | ArangoError], shape: AnswerShape) -> Outcome:
    """Return the answer to the write of an array. Errors are elements of it."""
    parts: list[bytes] = []
    errors = ElementErrors()
    succeeded = False
    for result in results:
        if isinstance(result, ArangoError):
            parts.append(errors.element(result))
            continue
        succeeded = True
        if not shape.silent:
            parts.append(shown(collection, result, shape))
    # waiting for the disk matters only if something was written
    status = shape.synced if shape.waits and (succeeded or not results) else 202
    if shape.silent and not errors:
        return Outcome(status, b"{}")
    return Outcome(status, b"[" + b",".join(parts) + b"]", errors.header())


def shown(name: str, written: WriteResult, shape: AnswerShape) -> bytes:
    """Return the answer for one written document, with its attributes in ArangoDB's order."""
    key = written.key
    text = f'{{"_id":"{within_quotes(name)}/{key}","_key":"{key}","_rev":"{written.rev}"'
    if written.old_rev is not None and shape.update_of:
        text += f',"_oldRev":"{written.old_rev}"'
    body = text.encode()
    if shape.return_old and written.old is not None:
        body += b',"old":' + written.old
    if shape.return_new and written.new is not None:
        body += b',"new":' + written.new
    return body + b"}"


def conflict_outcome(collection: str, error: ConflictError) -> Outcome:
    """Return the answer to a conflict of a single document, with the current revision in body and etag."""
    body = {
        "error": True,
        "code": error.status,
        "errorNum": error.number,
        "errorMessage": error.message,
        "_id": f"{collection}/{error.key}",
        "_key": error.key,
        "_rev": error.rev,
    }
    return Outcome(error.status, dump(body), etag(error.rev))


def etag(rev: str) -> tuple[tuple[bytes, bytes], ...]:
    """Return the header with a revision."""
    return ((b"etag", f'"{rev}"'.encode()),)


def same_revision(left: str | None, rev: str) -> bool:
    """Return True if a text names that revision."""
    return left is not None and (left == rev or decode_rev(left) == decode_rev(rev))
