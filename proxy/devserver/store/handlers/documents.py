"""The document endpoints: one document or an array of them, with all their parameters.

Answers' shapes and statuses: protocol page, section 2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import quote

import msgspec

from proxy.base.errors import ArangoError
from proxy.devserver.store import write_document
from proxy.devserver.store.collection_lookup import readable, writable
from proxy.devserver.store.commands import EndpointCommand
from proxy.devserver.store.encoded_document import revision_of
from proxy.devserver.store.request_params import flag, header_revision
from proxy.devserver.store.state.collection import Collection
from proxy.devserver.store.state.server import ServerState
from proxy.devserver.store.write_document import LockedError
from proxy.devserver.store.write_rules import ConflictError, Mode, WriteResult, WriteRules
from proxy.model.documents import Merging, key_of
from proxy.model.json_values import dump, parse
from proxy.model.operations import Operation, Outcome
from proxy.model.revision import decode_rev

_ABSENT: Final = object()
_NOTHING: Final = Outcome(304, b"", (), b"text/plain")


@dataclass(frozen=True, slots=True)
class AnswerShape:
    """The parts of an answer, and its status: `synced` if the write waits for the disk, else 202."""

    waits: bool
    return_new: bool
    return_old: bool
    silent: bool
    synced: int = 201
    update_of: bool = True  # `_oldRev` is shown


def read(server: ServerState, operation: Operation) -> Outcome:
    """GET and HEAD of one document."""
    collection = readable(server, operation, operation.collection or "")
    raw = collection.documents.get(operation.key or "")
    if raw is None:
        raise ArangoError(1202)
    rev = revision_of(raw)
    headers = operation.headers
    if headers:
        matching = header_revision(headers.get("if-match"))
        if matching is not None and not _equal(matching, rev):
            raise ConflictError(operation.key or "", rev, precondition=True)
        if _equal(header_revision(headers.get("if-none-match")), rev):
            return msgspec.structs.replace(_NOTHING, headers=_etag(rev))
    return Outcome(200, raw, _etag(rev))


def read_many(server: ServerState, operation: Operation) -> Outcome:
    """PUT ?onlyget: the documents of an array of keys, handles or objects."""
    collection = readable(server, operation, operation.collection or "")
    items = parse(operation.body)
    if not isinstance(items, list):
        raise ArangoError(10, "expecting an array of documents or keys")
    check = not flag(operation.params, "ignoreRevs", default=True)
    parts: list[bytes] = []
    errors: dict[int, int] = {}
    for item in items:
        key = key_of(item)
        raw = None if key is None else collection.documents.get(key)
        if key is None:
            parts.append(_element_error(ArangoError(1205), errors))
        elif raw is None:
            parts.append(_element_error(ArangoError(1202), errors))
        elif check and isinstance(item, dict) and "_rev" in item and not _equal(str(item["_rev"]), revision_of(raw)):
            parts.append(_element_error(ConflictError(key, "", precondition=True), errors))
        else:
            parts.append(raw)
    return Outcome(200, b"[" + b",".join(parts) + b"]", _codes(errors))


def misplaced(operation: Operation) -> ArangoError:
    """Return ArangoDB's error for `/_api/document` with too few or too many path segments."""
    count, method = len(operation.path) - 2, operation.method
    if method == "GET" and count < 2:
        return ArangoError(1203, "expecting GET /_api/document/<collection>/<key>", status=404)
    if method in ("GET", "POST"):
        return ArangoError(601, "superfluous suffix, expecting /_api/document/<collection>", status=400)
    return ArangoError(400, f"expecting {method} /_api/document/<collection>[/<key>]", status=400)


def _body(operation: Operation) -> Any:
    """Return the request's body, which is checked before its collection; an empty one is None.

    Raise ArangoError 600.
    """
    return parse(operation.body) if operation.body else None


def insert(server: ServerState, operation: Operation) -> Outcome:
    """POST of a document or an array of documents."""
    name = operation.collection
    if not name:
        raise ArangoError(1204, "'collection' is missing, expecting POST /_api/document?collection=<identifier>")
    body = _body(operation)
    collection = writable(server, operation, name)
    params = operation.params
    mode = _mode(params)
    rules = WriteRules(
        mode=mode,
        # overwriteMode=update removes nulls by default, unlike PATCH
        merging=Merging(flag(params, "keepNull"), flag(params, "mergeObjects", default=True)),
        version_attribute=params.get("versionAttribute", ""),
        restore=flag(params, "isRestore"),
        skip_validation=flag(params, "skipDocumentValidation"),
    )
    shape = _shape(collection, operation)

    def one(item: object) -> WriteResult:
        return write_document.insert(collection, item, rules)

    if isinstance(body, list):
        _wait_for(server, collection, body)
        return _many(collection, body, one, shape)
    return _single(operation, collection, one(body), shape)


def change(server: ServerState, operation: Operation) -> Outcome:
    """PUT and PATCH, single and array: a path with a key takes an object, one without a key an array."""
    key, params = operation.key, operation.params
    if key is None and ("onlyget" in params or not operation.collection):
        raise misplaced(operation)
    body = _body(operation)
    if (key is None and not isinstance(body, list)) or (key is not None and not isinstance(body, dict)):
        raise ArangoError(1227)
    collection = writable(server, operation, operation.collection or "")
    rules = WriteRules(
        merging=Merging(flag(params, "keepNull", default=True), flag(params, "mergeObjects", default=True)),
        expected=_expected(operation),
        body_revision=not flag(params, "ignoreRevs", default=True),
        version_attribute=params.get("versionAttribute", ""),
        restore=flag(params, "isRestore"),
        skip_validation=flag(params, "skipDocumentValidation"),
    )
    shape = _shape(collection, operation)
    write = write_document.update if operation.method == "PATCH" else write_document.replace
    if key is not None:
        if not isinstance(body.get("_key"), str | None):
            raise ArangoError(1221)
        return _single(operation, collection, write(collection, key, body, rules), shape)

    def one(item: object) -> WriteResult:
        if not isinstance(item, dict):
            raise ArangoError(1227)
        found = item.get("_key", _ABSENT)
        if found is _ABSENT:
            raise ArangoError(1205)
        if not isinstance(found, str) or not found:
            raise ArangoError(1221)
        return write(collection, found, item, rules)

    _wait_for(server, collection, body)
    return _many(collection, body, one, shape)


def _expected(operation: Operation) -> str | None:
    """Return the revision of If-Match, which is ignored unless a single document is meant."""
    if operation.key is None or not operation.headers:
        return None
    return header_revision(operation.headers.get("if-match"))


def remove(server: ServerState, operation: Operation) -> Outcome:
    """DELETE, single and array. The collection of a handle is ignored."""
    key = operation.key
    body = None if key is not None else _body(operation)
    if key is None and not isinstance(body, list | dict):
        raise ArangoError(400, "Request body not parseable", status=400)
    collection = writable(server, operation, operation.collection or "")
    rules = WriteRules(
        expected=_expected(operation), body_revision=not flag(operation.params, "ignoreRevs", default=True)
    )
    shape = replace(_shape(collection, operation), synced=200, update_of=False)
    if key is not None:
        return _single(operation, collection, write_document.remove(collection, key, None, rules), shape)

    def one(item: object) -> WriteResult:
        found = key_of(item)
        if found is None:
            raise ArangoError(1205)
        return write_document.remove(collection, found, item if isinstance(item, dict) else None, rules)

    if isinstance(body, list):
        _wait_for(server, collection, body)
        return _many(collection, body, one, shape)
    return _single(operation, collection, one(body), shape)


def _wait_for(server: ServerState, collection: Collection, items: list[Any]) -> None:
    """Raise LockedError, before anything is written, if an element is locked and the request may still wait."""
    if server.patient and collection.locks:
        for item in items:
            key = key_of(item)
            if collection.locks.held(key):
                raise LockedError(key or "", "", message="timeout waiting to lock key")


# ---- answers


def _mode(params: Mapping[str, str]) -> Mode:
    asked = params.get("overwriteMode")
    if asked in ("conflict", "ignore", "replace", "update"):
        return Mode(asked)
    return Mode.REPLACE if flag(params, "overwrite") else Mode.CONFLICT


def _shape(collection: Collection, operation: Operation) -> AnswerShape:
    params = operation.params
    silent = flag(params, "silent")
    return AnswerShape(
        flag(params, "waitForSync") or collection.wait_for_sync,
        flag(params, "returnNew") and not silent,
        flag(params, "returnOld") and not silent,
        silent,
    )


def _single(operation: Operation, collection: Collection, written: WriteResult, shape: AnswerShape) -> Outcome:
    status = shape.synced if shape.waits else 202
    if shape.silent:
        return Outcome(status, b"{}")
    place = f"{quote(collection.name, safe='')}/{quote(written.key, safe='')}"
    location = f"/_db/{quote(operation.database, safe='')}/_api/document/{place}"
    headers = (*_etag(written.rev), (b"location", location.encode()))
    return Outcome(status, shown(collection.name, written, shape), headers)


def _many(
    collection: Collection,
    items: list[Any],
    write: Callable[[object], WriteResult],
    shape: AnswerShape,
) -> Outcome:
    parts: list[bytes] = []
    errors: dict[int, int] = {}
    succeeded = False
    for item in items:
        try:
            written = write(item)
        except ArangoError as error:
            parts.append(_element_error(error, errors))
            continue
        succeeded = True
        if not shape.silent:
            parts.append(shown(collection.name, written, shape))
    # waiting for the disk matters only if something was written
    status = shape.synced if shape.waits and (succeeded or not items) else 202
    if shape.silent and not errors:
        return Outcome(status, b"{}")
    return Outcome(status, b"[" + b",".join(parts) + b"]", _codes(errors))


def shown(name: str, written: WriteResult, shape: AnswerShape) -> bytes:
    """Return the answer for one written document, with its attributes in ArangoDB's order."""
    key = written.key
    identity = dump(f"{name}/{key}").decode()  # a name may hold quotation marks and backslashes
    text = f'{{"_id":{identity},"_key":"{key}","_rev":"{written.rev}"'
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
    return Outcome(error.status, dump(body), _etag(error.rev))


def _element_error(error: ArangoError, errors: dict[int, int]) -> bytes:
    errors[error.number] = errors.get(error.number, 0) + 1
    return dump({"error": True, "errorNum": error.number, "errorMessage": error.message})


def _codes(errors: dict[int, int]) -> tuple[tuple[bytes, bytes], ...]:
    if not errors:
        return ()
    text = ",".join(f'"{number}":{count}' for number, count in errors.items())
    return ((b"x-arango-error-codes", f"{{{text}}}".encode()),)


def _etag(rev: str) -> tuple[tuple[bytes, bytes], ...]:
    return ((b"etag", f'"{rev}"'.encode()),)


def _equal(left: str | None, rev: str) -> bool:
    return left is not None and (left == rev or decode_rev(left) == decode_rev(rev))


COMMANDS: Final = {
    "document.read": EndpointCommand(read, dirty_read=True, shows_conflict=True),
    "document.head": EndpointCommand(read, dirty_read=True, shows_conflict=True),
    "document.read_many": EndpointCommand(read_many, dirty_read=True, shows_conflict=True),
    "document.insert": EndpointCommand(insert, shows_conflict=True),
    "document.replace": EndpointCommand(change, shows_conflict=True),
    "document.update": EndpointCommand(change, shows_conflict=True),
    "document.replace_many": EndpointCommand(change, shows_conflict=True),
    "document.update_many": EndpointCommand(change, shows_conflict=True),
    "document.remove": EndpointCommand(remove, shows_conflict=True),
    "document.remove_many": EndpointCommand(remove, shows_conflict=True),
}
