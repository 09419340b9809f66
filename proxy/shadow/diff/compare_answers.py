"""Compare two answers to one operation. Pure. Rules: DESIGN section 7."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from proxy.base.errors import ArangoError
from proxy.model import json_reader
from proxy.model.endpoint import Effect, Read
from proxy.model.error_body import decode_error_number
from proxy.model.operations import Operation, Outcome
from proxy.shadow.diff.documents import (
    MAX_KEYS,
    Difference,
    Kind,
    NotComparable,
    TargetRows,
    compare_documents,
    compare_rows,
    compare_values,
    gathered,
    key_of,
    revision_difference,
)


@dataclass(frozen=True, slots=True)
class QueryAnswer:
    """The target's answer to a query: its rows, and the full count if it was asked for."""

    rows: TargetRows
    full_count: int | None = None


TargetAnswer = Outcome | QueryAnswer | ArangoError


_SINGLE: Final = (Read.DOCUMENT, Read.HEAD)
_NOT_FOUND: Final = (404, 1202)
# no document, no collection, no database: a collection that was dropped stays in PostgreSQL without documents
_NOTHING: Final = frozenset({1202, 1203, 1228})
_NO_COLLECTION: Final = frozenset({(404, 1203), (404, 1228)})


def compare_answers(operation: Operation, origin: Outcome, target: TargetAnswer) -> Difference | None:
    """Return how two answers differ; None if they are equal.

    Raise NotComparable if the origin's answer does not depend on its data: what a client may not see, an overload, a
    result that continues in further batches.
    """
    if origin.status in (401, 403, 408, 410, 429) or origin.status >= 500:
        raise NotComparable(f"origin answered {origin.status}")
    if isinstance(target, ArangoError):
        theirs: tuple[int, int] | None = (target.status, target.number)
    else:
        theirs = error_of(target) if isinstance(target, Outcome) else None
    ours = error_of(origin)
    if ours is not None or theirs is not None:
        return _errors(operation, ours, theirs, origin, target)
    if isinstance(target, QueryAnswer):
        return _query(origin, target)
    assert isinstance(target, Outcome)
    if operation.endpoint.read in _SINGLE:
        return _document(operation, origin, target)
    if operation.endpoint.read is Read.MANY:
        return _many(origin, target)
    return compare_values(_counted(origin), _counted(target))


def stable(operation: Operation, before: Outcome, after: Outcome) -> bool:
    """Return True if the origin gave the same answer twice, apart from statistics and cursor ids."""
    if before.status != after.status:
        return False
    if before.body == after.body and before.header(b"etag") == after.header(b"etag"):
        return True
    if error_of(before) is not None:
        return error_of(before) == error_of(after)
    if operation.effect is Effect.QUERY:
        first, second = json_reader.load(before.body), json_reader.load(after.body)
        return compare_rows(first["result"], TargetRows(second["result"], None)) is None
    return operation.endpoint.read is not Read.HEAD and compare_documents(before.body, after.body) is None


def error_of(outcome: Outcome) -> tuple[int, int] | None:
    """Return (status, errorNum) of an error; the number is 0 without a body (HEAD).

    None for 2xx, 304, and 412 with a revision, which is an answer about the document.
    """
    if outcome.status < 400 or (outcome.status == 412 and outcome.header(b"etag") is not None):
        return None
    try:
        return outcome.status, decode_error_number(outcome.body)
    except msgspec.DecodeError:
        return outcome.status, 0


def _errors(
    operation: Operation,
    ours: tuple[int, int] | None,
    theirs: tuple[int, int] | None,
    origin: Outcome,
    target: TargetAnswer,
) -> Difference | None:
    bodiless = operation.endpoint.read is Read.HEAD
    if ours is not None and theirs is not None and {ours[1], theirs[1]} <= _NOTHING:
        return None
    unknown = ours is None and theirs in _NO_COLLECTION and operation.effect is Effect.QUERY
    if unknown and not json_reader.load(origin.body).get("result"):  # nothing was ever written to it
        raise NotComparable("collection is not in PostgreSQL")
    if ours in _NO_COLLECTION and theirs is None:
        return _left_over(operation, target)
    if ours == theirs or (bodiless and ours is not None and theirs is not None and ours[0] == theirs[0]):
        return None
    keys = (operation.key,) if operation.key is not None else ()
    single = operation.endpoint.read in _SINGLE
    if single and ours is None and _absent(theirs, bodiless=bodiless):
        return Difference(Kind.MISSING, (), keys)
    if single and theirs is None and _absent(ours, bodiless=bodiless):
        return Difference(Kind.EXTRA, (), keys)
    shown = [f"{error[0]}/{error[1]}" if error is not None else "answer" for error in (ours, theirs)]
    return Difference(Kind.ERROR, (f"origin {shown[0]}, target {shown[1]}",), keys)


def _left_over(operation: Operation, target: TargetAnswer) -> Difference | None:
    """Return what the target has of a collection that the origin no longer has: it is extra."""
    if not isinstance(target, Outcome) or operation.effect is not Effect.READ:
        raise NotComparable("collection is gone")
    elements = [json_reader.load(target.body)] if operation.endpoint.read is Read.DOCUMENT else []
    if operation.endpoint.read is Read.MANY:
        elements = [
            one for one in json_reader.load(target.body) if not (isinstance(one, dict) and one.get("error") is True)
        ]
    keys = tuple(key for one in elements if (key := key_of(one)) is not None)[:MAX_KEYS]
    if operation.endpoint.read is Read.HEAD and operation.key is not None:
        keys = (operation.key,)
    return Difference(Kind.EXTRA, (), keys) if keys else None


def _absent(error: tuple[int, int] | None, *, bodiless: bool) -> bool:
    return error == _NOT_FOUND or (bodiless and error is not None and error[0] == 404)


def _document(operation: Operation, origin: Outcome, target: Outcome) -> Difference | None:
    ours, theirs = _etag(origin), _etag(target)
    if origin.status == target.status == 200 and operation.endpoint.read is Read.DOCUMENT:
        found = compare_documents(origin.body, target.body)
        if found is None and ours != theirs and ours and theirs:  # of equal documents only the headers
            return Difference(Kind.VALUE, ("ETag",), (operation.key,) if operation.key is not None else ())
        return found
    if ours == theirs and origin.status == target.status:
        return None
    keys = (operation.key,) if operation.key is not None else ()
    if ours == theirs:
        return Difference(Kind.ERROR, (f"origin {origin.status}, target {target.status}",), keys)
    return revision_difference(ours, theirs, keys)


def _etag(outcome: Outcome) -> str:
    return (outcome.header(b"etag") or b"").decode("latin-1").strip('"')


def _many(origin: Outcome, target: Outcome) -> Difference | None:
    """Compare element by element: both answer the same list of keys, so that equal places have equal keys."""
    if origin.body == target.body:
        return None
    ours, theirs = json_reader.load(origin.body), json_reader.load(target.body)
    if len(ours) != len(theirs):
        return Difference(Kind.ERROR, ("[]",))
    found = [different for pair in zip(ours, theirs, strict=True) if (different := _element(*pair)) is not None]
    return gathered(found)


def _element(ours: Any, theirs: Any) -> Difference | None:
    failed = [
        one.get("errorNum") if isinstance(one, dict) and one.get("error") is True else None for one in (ours, theirs)
    ]
    if failed == [None, None]:
        return compare_values(ours, theirs)
    if failed[0] == failed[1]:
        return None
    keys = tuple(key for one in (ours, theirs) if (key := key_of(one)) is not None)
    if failed == [None, 1202]:
        return Difference(Kind.MISSING, (), keys)
    if failed == [1202, None]:
        return Difference(Kind.EXTRA, (), keys)
    return Difference(Kind.ERROR, (f"origin {failed[0]}, target {failed[1]}",), keys)


def _query(origin: Outcome, target: QueryAnswer) -> Difference | None:
    body = json_reader.load(origin.body)
    more = body.get("hasMore") is True
    found = compare_rows(body["result"], target.rows, partial=more)
    if found is not None:
        return found
    if "count" in body and body["count"] != len(target.rows.rows):
        return Difference(Kind.MISSING if body["count"] > len(target.rows.rows) else Kind.EXTRA, ("count",))
    full = body.get("extra", {}).get("stats", {}).get("fullCount")
    if full is not None and target.full_count is not None and full != target.full_count:
        return Difference(Kind.VALUE, ("fullCount",))
    return None


def _counted(outcome: Outcome) -> dict[str, Any]:
    # the other attributes describe the collection in the origin, its ids and options
    return {"count": json_reader.load(outcome.body).get("count")}
