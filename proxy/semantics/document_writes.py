"""The endpoints that write documents: one document or an array of them, with all their parameters.

A request is parsed without its collection; then each document gets its key, or the error that refuses it; then the
writes are carried out, document by document, and answered. Protocol page, section 2.
"""

from __future__ import annotations

import enum
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from proxy.base.errors import ArangoError
from proxy.model.documents import Merging, key_of
from proxy.model.json_values import parse, parse_array
from proxy.model.operations import Operation, Outcome
from proxy.semantics import write_document, write_rules
from proxy.semantics.document_answers import many_outcome, shape_of, single_outcome
from proxy.semantics.key_generator import KeyGenerator
from proxy.semantics.request_params import flag, header_revision
from proxy.semantics.writable import WritableCollection
from proxy.semantics.write_rules import PLAIN, Mode, WriteResult, WriteRules

Target = str | ArangoError  # the key of a document, or the error that refuses it
_ABSENT: Final = object()
_INSERT: Final = WriteRules(merging=Merging(keep_null=False))  # of a request without parameters


class DocumentAction(enum.Enum):
    """What a request does with its documents."""

    INSERT = "insert"
    REPLACE = "replace"
    UPDATE = "update"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class DocumentWriteRequest:
    """A parsed request. items: its documents. many: it has an array of them, so that errors are elements of the answer.

    A removal by the path's key has the item None. texts: the items as ArangoDB prints them, if that is known.
    """

    operation: Operation
    kind: DocumentAction
    rules: WriteRules
    items: list[Any]
    many: bool
    texts: Sequence[bytes] = ()

    def prepare(self, generator: KeyGenerator, *, edge: bool) -> PreparedWrite:  # noqa: ARG002 - as imports do
        """Return the request with the keys of its documents, of which the generator makes those that are missing."""
        return PreparedWrite(self, [self._target(item, generator) for item in self.items])

    def _target(self, item: Any, generator: KeyGenerator) -> Target:
        try:
            if self.kind is DocumentAction.INSERT:
                return write_document.key_for(generator, write_rules.require_object(item), self.rules)
            if self.kind is DocumentAction.REMOVE:
                return self.operation.key or _removed_key(item)
            return self._changed_key(item)
        except ArangoError as error:
            return error

    def _changed_key(self, item: Any) -> str:
        if self.operation.key is not None:
            if not isinstance(item.get("_key"), str | None):
                raise ArangoError(1221)
            return self.operation.key
        if not isinstance(item, dict):
            raise ArangoError(1227)
        found = item.get("_key", _ABSENT)
        if found is _ABSENT:
            raise ArangoError(1205)
        if not isinstance(found, str) or not found:
            raise ArangoError(1221)
        return found


@dataclass(frozen=True, slots=True)
class PreparedWrite:
    """A request and the target of each of its documents."""

    request: DocumentWriteRequest
    targets: Sequence[Target]

    @property
    def keys(self) -> frozenset[str]:
        """The keys that carrying it out reads or writes."""
        return frozenset(target for target in self.targets if isinstance(target, str))

    @property
    def writes(self) -> int:
        """The most revisions that carrying it out takes."""
        return len(self.targets)

    def refusing(self, errors: Mapping[str, ArangoError]) -> PreparedWrite:
        """Return the request with the errors of these keys in the place of their documents."""
        targets = [errors.get(target, target) if isinstance(target, str) else target for target in self.targets]
        return replace(self, targets=targets)

    def carry_out(self, collection: WritableCollection) -> Outcome:
        """Write the documents. Raise ArangoError if the only one is refused, and whatever the collection raises."""
        request = self.request
        shape = shape_of(
            request.operation, collection_waits=collection.wait_for_sync, removal=request.kind is DocumentAction.REMOVE
        )
        if not request.many:
            written = self._write(collection, request.items[0], self.targets[0])
            return single_outcome(request.operation, collection.name, written, shape)
        results: list[WriteResult | ArangoError] = []
        texts = request.texts or itertools.repeat(b"", len(request.items))
        for item, target, text in zip(request.items, self.targets, texts, strict=True):
            try:
                results.append(self._write(collection, item, target, text))
            except ArangoError as error:
                results.append(error)
        return many_outcome(collection.name, results, shape)

    def _write(self, collection: WritableCollection, item: Any, target: Target, text: bytes = b"") -> WriteResult:
        if isinstance(target, ArangoError):
            raise target
        kind, rules = self.request.kind, self.request.rules
        if kind is DocumentAction.INSERT:
            return write_document.insert_as(collection, target, item, rules, text)
        if kind is DocumentAction.REPLACE:
            return write_document.replace(collection, target, item, rules)
        if kind is DocumentAction.UPDATE:
            return write_document.update(collection, target, item, rules)
        return write_document.remove(collection, target, item if isinstance(item, dict) else None, rules)


# ---- parsing


def parse_insert(operation: Operation) -> DocumentWriteRequest:
    """POST of a document or an array of documents. Raise ArangoError 1204, 600."""
    if not operation.collection:
        raise ArangoError(1204, "'collection' is missing, expecting POST /_api/document?collection=<identifier>")
    body, texts = parse_array(operation.body) if operation.body else (None, ())
    params = operation.params
    if not params:
        return _request(operation, DocumentAction.INSERT, _INSERT, body, texts)
    rules = WriteRules(
        mode=_mode(params),
        # overwriteMode=update removes nulls by default, unlike PATCH
        merging=Merging(flag(params, "keepNull"), flag(params, "mergeObjects", default=True)),
        version_attribute=params.get("versionAttribute", ""),
        restore=flag(params, "isRestore"),
        skip_validation=flag(params, "skipDocumentValidation"),
    )
    return _request(operation, DocumentAction.INSERT, rules, body, texts)


def parse_change(operation: Operation) -> DocumentWriteRequest:
    """PUT and PATCH, single and array: a path with a key takes an object, one without a key an array.

    Raise ArangoError 600, 1227, or the error of a misplaced request.
    """
    key, params = operation.key, operation.params
    if key is None and ("onlyget" in params or not operation.collection):
        raise misplaced(operation)
    body = _body(operation)
    if (key is None and not isinstance(body, list)) or (key is not None and not isinstance(body, dict)):
        raise ArangoError(1227)
    kind = DocumentAction.UPDATE if operation.method == "PATCH" else DocumentAction.REPLACE
    if not params and not operation.headers:
        return _request(operation, kind, PLAIN, body)
    rules = WriteRules(
        merging=Merging(flag(params, "keepNull", default=True), flag(params, "mergeObjects", default=True)),
        expected=_expected(operation),
        body_revision=not flag(params, "ignoreRevs", default=True),
        version_attribute=params.get("versionAttribute", ""),
        restore=flag(params, "isRestore"),
        skip_validation=flag(params, "skipDocumentValidation"),
    )
    return _request(operation, kind, rules, body)


def parse_remove(operation: Operation) -> DocumentWriteRequest:
    """DELETE, single and array. The collection of a handle is ignored. Raise ArangoError 600, 400."""
    body = None if operation.key is not None else _body(operation)
    if operation.key is None and not isinstance(body, list | dict):
        raise ArangoError(400, "Request body not parseable", status=400)
    rules = WriteRules(
        expected=_expected(operation), body_revision=not flag(operation.params, "ignoreRevs", default=True)
    )
    return _request(operation, DocumentAction.REMOVE, rules, body)


def misplaced(operation: Operation) -> ArangoError:
    """Return ArangoDB's error for `/_api/document` with too few or too many path segments."""
    count, method = len(operation.path) - 2, operation.method
    if method == "GET" and count < 2:
        return ArangoError(1203, "expecting GET /_api/document/<collection>/<key>", status=404)
    if method in ("GET", "POST"):
        return ArangoError(601, "superfluous suffix, expecting /_api/document/<collection>", status=400)
    return ArangoError(400, f"expecting {method} /_api/document/<collection>[/<key>]", status=400)


def _request(
    operation: Operation, kind: DocumentAction, rules: WriteRules, body: Any, texts: Sequence[bytes] = ()
) -> DocumentWriteRequest:
    if isinstance(body, list):
        return DocumentWriteRequest(operation, kind, rules, body, many=True, texts=texts)
    return DocumentWriteRequest(operation, kind, rules, [body], many=False)


def _body(operation: Operation) -> Any:
    """Return the request's body, which is checked before its collection; an empty one is None.

    Raise ArangoError 600.
    """
    return parse(operation.body) if operation.body else None


def _mode(params: Mapping[str, str]) -> Mode:
    asked = params.get("overwriteMode")
    if asked in ("conflict", "ignore", "replace", "update"):
        return Mode(asked)
    return Mode.REPLACE if flag(params, "overwrite") else Mode.CONFLICT


def _expected(operation: Operation) -> str | None:
    """Return the revision of If-Match, which is ignored unless a single document is meant."""
    if operation.key is None or not operation.headers:
        return None
    return header_revision(operation.headers.get("if-match"))


def _removed_key(item: Any) -> str:
    found = key_of(item)
    if found is None:
        raise ArangoError(1205)
    return found
