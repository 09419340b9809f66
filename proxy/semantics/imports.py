"""`/_api/import`: many documents in one request (protocol page, section 3). The answer has counts, and no keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import msgspec

from proxy.base.errors import MESSAGES, ArangoError
from proxy.model.documents import valid_handle
from proxy.model.json_values import dump
from proxy.model.operations import Operation, Outcome
from proxy.semantics import write_document
from proxy.semantics.import_formats import ImportItem, items_of, offending
from proxy.semantics.key_generator import KeyGenerator
from proxy.semantics.request_params import flag, number
from proxy.semantics.writable import WritableCollection
from proxy.semantics.write_rules import Mode, WriteResult, WriteRules
from proxy.wire.encode import json_outcome

Document = dict[str, Any]
_MODES: Final = {"error": Mode.CONFLICT, "update": Mode.UPDATE, "replace": Mode.REPLACE, "ignore": Mode.IGNORE}


@dataclass(slots=True)
class _Summary:
    created: int = 0
    errors: int = 0
    empty: int = 0
    updated: int = 0
    ignored: int = 0
    details: list[str] = field(default_factory=list)


class _Row(msgspec.Struct, frozen=True):
    """An item, with its document and key, or with the error that refuses it. An empty item has neither."""

    item: ImportItem
    key: str = ""
    document: Document = msgspec.field(default_factory=dict)
    error: ArangoError | None = None


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """A request to import. first: the position of its first document, if it is a part of a larger import.

    empties: the collection is emptied first.
    """

    operation: Operation
    first: int = 0

    @property
    def empties(self) -> bool:
        return flag(self.operation.params, "overwrite")

    def items(self) -> list[ImportItem]:
        """Return the documents of the body. Raise ArangoError 400 if it is not in the format that `type` names."""
        return list(items_of(self.operation))

    def prepare(self, generator: KeyGenerator, *, edge: bool) -> PreparedImport:
        """Return the request with the keys of its documents, of which the generator makes those that are missing.

        Raise ArangoError 400.
        """
        params = self.operation.params
        rules = WriteRules(mode=_MODES.get(params.get("onDuplicate", ""), Mode.CONFLICT))
        rows = [_row(item, params, rules, generator, edge=edge) for item in self.items()]
        return PreparedImport(params, rules, rows, self.first)


@dataclass(frozen=True, slots=True)
class PreparedImport:
    """A request to import, and the key of each of its documents. first: the position of its first document."""

    params: Mapping[str, str]
    rules: WriteRules
    rows: Sequence[_Row]
    first: int = 0

    @property
    def keys(self) -> frozenset[str]:
        """The keys that carrying it out reads or writes."""
        return frozenset(row.key for row in self.rows if row.key)

    @property
    def writes(self) -> int:
        """The most revisions that carrying it out takes."""
        return len(self.rows)

    @property
    def empties(self) -> bool:
        """True if the collection is emptied first."""
        return flag(self.params, "overwrite")

    def refusing(self, errors: Mapping[str, ArangoError]) -> PreparedImport:
        """Return the request with the errors of these keys in the place of their documents."""
        rows = [_Row(row.item, error=errors[row.key]) if row.key in errors else row for row in self.rows]
        return replace(self, rows=rows)

    def carry_out(self, collection: WritableCollection) -> Outcome:
        """Write the documents. Raise the first error, with nothing written, if `complete` is set."""
        complete = flag(self.params, "complete")
        summary = _Summary()
        undo: list[tuple[str, bytes | None]] = []
        for row in self.rows:
            try:
                self._take(collection, row, summary, undo)
            except ArangoError:
                if complete:
                    for key, old in reversed(undo):
                        collection.put_back(key, old)
                    raise
        shown: Document = {
            "error": False,
            "created": summary.created,
            "errors": summary.errors,
            "empty": summary.empty,
            "updated": summary.updated,
            "ignored": summary.ignored,
        }
        if flag(self.params, "details"):
            shown["details"] = summary.details
        return json_outcome(201, shown)

    def _take(
        self, collection: WritableCollection, row: _Row, summary: _Summary, undo: list[tuple[str, bytes | None]]
    ) -> None:
        """Import one document, and count it in the summary.

        Raise the error of a document that failed, after counting it.
        """
        if row.item.empty:
            summary.empty += 1
            return
        if row.item.problem:
            problem, error = row.item.problem, ArangoError(10, row.item.problem)
        else:
            try:
                written = self._write(collection, row)
            except ArangoError as refused:
                problem, error = _refusal(row.item.value, refused)
            else:
                if written.changed:  # the result of an ignored duplicate does not have the stored document
                    undo.append((written.key, written.old))
                if not written.changed and self.rules.mode is Mode.IGNORE:
                    summary.ignored += 1
                elif written.old_rev is not None:
                    summary.updated += 1
                else:
                    summary.created += 1
                return
        summary.errors += 1
        first = number(self.params, "line", 0) + self.first
        summary.details.append(f"at position {row.item.position + first}: {problem}")
        raise error

    def _write(self, collection: WritableCollection, row: _Row) -> WriteResult:
        if row.error is not None:
            raise row.error
        return write_document.insert_as(collection, row.key, row.document, self.rules, row.item.text)


def parse_import(operation: Operation) -> ImportRequest:
    """POST /_api/import. The body is read later: first its collection must exist. Raise ArangoError 1204."""
    if not operation.collection:
        raise ArangoError(1204, "'collection' is missing, expecting /_api/import?collection=<identifier>")
    return ImportRequest(operation)


def _refusal(value: Any, refused: ArangoError) -> tuple[str, ArangoError]:
    """Return the line of `details` for a document that was refused, and the error with its short message."""
    short = MESSAGES.get(refused.number, refused.message)
    error = ArangoError(refused.number, short, status=refused.status)
    if not isinstance(value, dict):
        return "invalid JSON type (expecting object)" + offending(dump(value)), error
    failed = f"creating document failed with error '{short}'"
    creating = "missing '_from' or '_to' attribute" if refused.number == 1233 else failed
    return creating + offending(dump(value)), error


def _row(
    item: ImportItem, params: Mapping[str, str], rules: WriteRules, generator: KeyGenerator, *, edge: bool
) -> _Row:
    if item.empty or item.problem:
        return _Row(item)
    try:
        document = _document(item.value, params, edge=edge)
        return _Row(item, write_document.key_for(generator, document, rules), document)
    except ArangoError as error:
        return _Row(item, error=error)


def _document(value: Any, params: Mapping[str, str], *, edge: bool) -> Document:
    """Return the document of an item; the ends of an edge get their prefixes. Raise ArangoError 1227, 1233."""
    if not isinstance(value, dict):
        raise ArangoError(1227)
    if not edge:
        return value
    overwrite = flag(params, "overwriteCollectionPrefix")
    prefixed = {
        name: _prefixed(value.get(name), params.get(parameter), overwrite=overwrite)
        for name, parameter in (("_from", "fromPrefix"), ("_to", "toPrefix"))
    }
    if not all(valid_handle(end) for end in prefixed.values()):
        raise ArangoError(1233)
    return {**value, **prefixed}


def _prefixed(end: Any, prefix: str | None, *, overwrite: bool) -> Any:
    if prefix and isinstance(end, int) and not isinstance(end, bool):
        end = str(end)
    if not prefix or not isinstance(end, str):
        return end
    if "/" not in end:
        return f"{prefix.rstrip('/')}/{end}"
    return f"{prefix.rstrip('/')}/{end.partition('/')[2]}" if overwrite else end
