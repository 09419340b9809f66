"""The document endpoints: reads here; writes are parsed, decided and answered by proxy/semantics.

Answers' shapes and statuses: protocol page, section 2.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from proxy.base.errors import ArangoError
from proxy.devserver.store.collection_lookup import readable, writable
from proxy.devserver.store.commands import EndpointCommand
from proxy.devserver.store.state.collection import Collection
from proxy.devserver.store.state.locks import LockedError
from proxy.devserver.store.state.server import ServerState
from proxy.model.documents import key_of
from proxy.model.json_values import parse
from proxy.model.operations import Operation, Outcome
from proxy.semantics.document_answers import ElementErrors, etag, same_revision
from proxy.semantics.document_writes import DocumentWriteRequest, parse_change, parse_insert, parse_remove
from proxy.semantics.encoded_document import revision_of
from proxy.semantics.request_params import flag, header_revision
from proxy.semantics.write_rules import ConflictError

_NOTHING: Final = Outcome(304, b"", (), b"text/plain")


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
        if matching is not None and not same_revision(matching, rev):
            raise ConflictError(operation.key or "", rev, precondition=True)
        if same_revision(header_revision(headers.get("if-none-match")), rev):
            return msgspec.structs.replace(_NOTHING, headers=etag(rev))
    return Outcome(200, raw, etag(rev))


def read_many(server: ServerState, operation: Operation) -> Outcome:
    """PUT ?onlyget: the documents of an array of keys, handles or objects."""
    collection = readable(server, operation, operation.collection or "")
    items = parse(operation.body)
    if not isinstance(items, list):
        raise ArangoError(10, "expecting an array of documents or keys")
    check = not flag(operation.params, "ignoreRevs", default=True)
    parts: list[bytes] = []
    errors = ElementErrors()
    for item in items:
        try:
            parts.append(_element(collection, item, check_revision=check))
        except ArangoError as error:
            parts.append(errors.element(error))
    return Outcome(200, b"[" + b",".join(parts) + b"]", errors.header())


def _element(collection: Collection, item: Any, *, check_revision: bool) -> bytes:
    """Return the document that an element names. Raise ArangoError 1205, 1202, ConflictError."""
    key = key_of(item)
    if key is None:
        raise ArangoError(1205)
    raw = collection.documents.get(key)
    if raw is None:
        raise ArangoError(1202)
    if check_revision and isinstance(item, dict) and "_rev" in item:
        rev = revision_of(raw)
        if not same_revision(str(item["_rev"]), rev):
            raise ConflictError(key, "", precondition=True)
    return raw


def insert(server: ServerState, operation: Operation) -> Outcome:
    """POST of a document or an array of documents."""
    return _write(server, parse_insert(operation))


def change(server: ServerState, operation: Operation) -> Outcome:
    """PUT and PATCH, single and array."""
    return _write(server, parse_change(operation))


def remove(server: ServerState, operation: Operation) -> Outcome:
    """DELETE, single and array."""
    return _write(server, parse_remove(operation))


def _write(server: ServerState, request: DocumentWriteRequest) -> Outcome:
    collection = writable(server, request.operation, request.operation.collection or "")
    if request.many:
        _wait_for(server, collection, request.items)
    return request.prepare(collection.generator, edge=collection.edge).carry_out(collection)


def _wait_for(server: ServerState, collection: Collection, items: list[Any]) -> None:
    """Raise LockedError, before anything is written, if an element is locked and the request may still wait."""
    if server.patient and collection.locks:
        for item in items:
            key = key_of(item)
            if collection.locks.held(key):
                raise LockedError(key or "", "", message="timeout waiting to lock key")


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
