"""`/_api/import`: many documents in one request (protocol page, section 3). The answer has counts, and no keys."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from proxy.base.errors import MESSAGES, ArangoError
from proxy.devserver.store import write_document
from proxy.devserver.store.collection_lookup import writable
from proxy.devserver.store.commands import EndpointCommand
from proxy.devserver.store.handlers.collections import empty
from proxy.devserver.store.request_params import flag, number
from proxy.devserver.store.state.collection import Collection
from proxy.devserver.store.state.server import ServerState
from proxy.devserver.store.write_document import LockedError
from proxy.devserver.store.write_rules import Mode, WriteResult, WriteRules
from proxy.model.documents import valid_handle
from proxy.model.json_values import dump, parse
from proxy.model.operations import Operation, Outcome
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


@dataclass(frozen=True, slots=True)
class _Item:
    """One document to import, or the problem with it. position: of its line or element, counted from 0."""

    position: int
    value: Any = None
    problem: str = ""
    empty: bool = False


def run(server: ServerState, operation: Operation) -> Outcome:
    """POST /_api/import."""
    params = operation.params
    name = operation.collection
    if not name:
        raise ArangoError(1204, "'collection' is missing, expecting /_api/import?collection=<identifier>")
    mode = _MODES.get(params.get("onDuplicate", ""), Mode.CONFLICT)
    collection = writable(server, operation, name)
    items = list(_items(operation))
    if server.patient and any(isinstance(i.value, dict) and collection.locks.held(i.value.get("_key")) for i in items):
        raise LockedError("", "", message="timeout waiting to lock key")
    if flag(params, "overwrite"):
        empty(server, server.database(operation), collection)
    complete = flag(params, "complete")
    summary = _Summary()
    undo: list[tuple[str, bytes | None]] = []
    rules = WriteRules(mode=mode)
    for item in items:
        try:
            _take(collection, item, operation, rules=rules, summary=summary, undo=undo)
        except ArangoError:
            if complete:
                _restore(collection, undo)
                raise
    shown: Document = {
        "error": False,
        "created": summary.created,
        "errors": summary.errors,
        "empty": summary.empty,
        "updated": summary.updated,
        "ignored": summary.ignored,
    }
    if flag(params, "details"):
        shown["details"] = summary.details
    return json_outcome(201, shown)


def _items(operation: Operation) -> Iterator[_Item]:
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
            raise ArangoError(400, "expecting a JSON array in the request")
        yield from (_Item(position, value) for position, value in enumerate(values))
    elif kind == "documents":
        for position, line in _lines(body):
            yield _line(position, line)
    else:
        yield from _rows(operation)


def _lines(body: bytes) -> Iterator[tuple[int, bytes]]:
    lines = body.replace(b"\r\n", b"\n").split(b"\n")
    if not lines[-1].strip():
        lines.pop()
    yield from enumerate(line.strip() for line in lines)


def _line(position: int, line: bytes) -> _Item:
    if not line:
        return _Item(position, empty=True)
    try:
        return _Item(position, parse(line))
    except ArangoError:
        return _Item(position, problem="invalid JSON type (expecting object, probably parse error)" + _offending(line))


def _rows(operation: Operation) -> Iterator[_Item]:
    """Yield documents of the oldest format: a line with an array of names, then lines with arrays of values; null means
    no attribute.
    """
    if b"\n" not in operation.body:
        raise ArangoError(400, "no JSON array found in second line")
    lines = _lines(operation.body)
    names = _names(next(lines, (0, b""))[1])
    lenient = flag(operation.params, "ignoreMissing")
    for position, line in lines:
        item = _line(position, line)
        values = item.value
        if item.empty or item.problem:
            yield item
        elif not isinstance(values, list):
            yield _Item(position, problem="no valid JSON array data" + _offending(line))
        elif len(values) != len(names) and not lenient:
            expected = f"wrong number of JSON values (got {len(values)}, expected {len(names)})"
            yield _Item(position, problem=expected + _offending(line))
        else:
            pairs = zip(names, values, strict=False)
            yield _Item(position, {name: value for name, value in pairs if value is not None})


def _names(line: bytes) -> list[str]:
    try:
        names = parse(line)
    except ArangoError:
        names = None
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise ArangoError(400, "no JSON string array found in first line")
    return names


def _offending(text: bytes) -> str:
    return ", offending document: " + text.decode("utf-8", "replace")


def _take(
    collection: Collection,
    item: _Item,
    operation: Operation,
    *,
    rules: WriteRules,
    summary: _Summary,
    undo: list[tuple[str, bytes | None]],
) -> None:
    """Import one document, and count it in the summary.

    Raise the error of a document that failed, after counting it.
    """
    if item.empty:
        summary.empty += 1
        return
    problem, error = item.problem, ArangoError(10, item.problem)
    if not problem:
        try:
            written = _write(collection, item.value, operation.params, rules)
        except ArangoError as refused:
            error = refused
            short = MESSAGES.get(refused.number, refused.message)
            if isinstance(item.value, dict):
                creating = "missing '_from' or '_to' attribute" if refused.number == 1233 else _failed(short)
                problem = creating + _offending(dump(item.value))
            else:
                problem = "invalid JSON type (expecting object)" + _offending(dump(item.value))
            error = ArangoError(refused.number, short, status=refused.status)
        else:
            if written.changed:  # the result of an ignored duplicate does not have the stored document
                undo.append((written.key, written.old))
            if not written.changed and rules.mode is Mode.IGNORE:
                summary.ignored += 1
            elif written.old_rev is not None:
                summary.updated += 1
            else:
                summary.created += 1
            return
    summary.errors += 1
    first = number(operation.params, "line", 0)
    summary.details.append(f"at position {item.position + first}: {problem}")
    raise error


def _failed(reason: str) -> str:
    return f"creating document failed with error '{reason}'"


def _write(collection: Collection, value: Any, params: Any, rules: WriteRules) -> WriteResult:
    if not isinstance(value, dict):
        raise ArangoError(1227)
    if collection.edge:
        prefixed = {
            name: _prefixed(value.get(name), params.get(parameter), overwrite=flag(params, "overwriteCollectionPrefix"))
            for name, parameter in (("_from", "fromPrefix"), ("_to", "toPrefix"))
        }
        if not all(valid_handle(end) for end in prefixed.values()):
            raise ArangoError(1233)
        value = {**value, **prefixed}
    return write_document.insert(collection, value, rules)


def _prefixed(end: Any, prefix: str | None, *, overwrite: bool) -> Any:
    if prefix and isinstance(end, int) and not isinstance(end, bool):
        end = str(end)
    if not prefix or not isinstance(end, str):
        return end
    if "/" not in end:
        return f"{prefix.rstrip('/')}/{end}"
    return f"{prefix.rstrip('/')}/{end.partition('/')[2]}" if overwrite else end


def _restore(collection: Collection, undo: list[tuple[str, bytes | None]]) -> None:
    for key, old in reversed(undo):
        write_document.put_back(collection, key, old)


COMMANDS: Final = {
    "import": EndpointCommand(run),
}
