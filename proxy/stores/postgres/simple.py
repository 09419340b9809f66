"""`/_api/simple` and `/_api/edges` as AQL queries and containment tests: pure.

ArangoDB runs simple queries as AQL, and so does this store: the fence, the batches and the order that is left open are
those of queries. Queries by geo or full text index are not supported.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from proxy.base.errors import ArangoError, Unsupported
from proxy.model import json_reader, json_values
from proxy.model.documents import escape_text
from proxy.model.operations import Operation, Outcome
from proxy.model.revision import decode_rev
from proxy.wire.encode import error_outcome, json_outcome
from proxy.wire.endpoints import named

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_CURSOR: Final = ("_api", "cursor")
_PATHS: Final = {
    "key": "d._key",
    "id": "d._id",
    "path": "CONCAT(@prefix, d._id)",
}
Query = tuple[str, dict[str, Any]]
AROUND_DOCUMENTS: Final = (b'{"documents":[', b'],"error":false,"code":200}')

# the statistics of an answer about edges; all but three are 0 here
_STATS: Final = (
    *("writesExecuted", "writesIgnored", "documentLookups", "seeks", "scannedFull", "scannedIndex"),
    *("searchParallelism", "cursorsCreated", "cursorsRearmed", "cacheHits", "cacheMisses", "filtered"),
    *("httpRequests", "executionTime", "peakMemoryUsage", "intermediateCommits"),
)


def as_query(operation: Operation) -> Operation:
    """Return the `cursor.create` that is equivalent to a simple read.

    Raise ArangoError 600 or 10 (not a JSON object), 400 (a part is missing or of the wrong type), Unsupported (geo and
    full text).
    """
    maker = _MAKERS.get(operation.endpoint.name)
    if maker is None:
        raise Unsupported(f"{operation.endpoint.name} on PostgreSQL")
    body = body_of(operation)
    text, binds = maker(operation, body)
    query: dict[str, Any] = {"query": text, "bindVars": {"@c": collection_of(body), **binds}}
    if maker is not _all_keys:  # which takes no options
        query["count"] = True
        query["batchSize"] = body.get("batchSize") or 1000  # a cursor uses the default if this is not a number
        if isinstance(body.get("ttl"), int | float):
            query["ttl"] = body["ttl"]
    return Operation(
        named("cursor.create"),
        "POST",
        operation.database,
        path=_CURSOR,
        headers=operation.headers,
        body=json_values.dump(query),
    )


def body_of(operation: Operation) -> dict[str, Any]:
    """Return the request's body, by default an empty object. Raise ArangoError 600 (not JSON), 10 (not an object)."""
    if not operation.body.strip():
        return {}
    body = json_values.parse(operation.body)
    if not isinstance(body, dict):
        raise ArangoError(10, "expecting a JSON object as body")
    return body


def collection_of(body: dict[str, Any]) -> str:
    """Return the name of the collection. Raise ArangoError 400 if there is none."""
    name = body.get("collection")
    if not isinstance(name, str):
        raise ArangoError(400, "expecting string for <collection>")
    return name


def keys_of(body: dict[str, Any]) -> list[str]:
    """Return the keys of a look-up, each once, without the collections of handles. Raise ArangoError 10."""
    keys = body.get("keys")
    if not isinstance(keys, list):
        raise ArangoError(10, "expecting array for 'keys'")
    return list(dict.fromkeys(str(key).rpartition("/")[2] for key in keys))


def first_document(row: bytes | None) -> Outcome:
    """Return the answer to first-example: 404 if nothing matches."""
    return error_outcome(ArangoError(404, "no match")) if row is None else document_outcome(row)


def document_outcome(row: bytes | None) -> Outcome:
    """Return the answer to `any`: a document, or null if there is none."""
    return Outcome(200, b'{"document":' + (row or b"null") + b',"error":false,"code":200}')


def documents_outcome(rows: Sequence[bytes]) -> Outcome:
    """Return the answer to lookup-by-keys."""
    before, after = AROUND_DOCUMENTS
    return Outcome(200, before + b",".join(rows) + after)


# ---- as AQL


def _all(_: Operation, body: dict[str, Any]) -> Query:
    limit, binds = _limit(body)
    return f"FOR d IN @@c{limit} RETURN d", binds


def _all_keys(operation: Operation, body: dict[str, Any]) -> Query:
    shown = _PATHS.get(str(body.get("type", "path")), _PATHS["path"])
    prefix = {"prefix": f"/_db/{operation.database}/_api/document/"} if shown == _PATHS["path"] else {}
    return f"FOR d IN @@c RETURN {shown}", prefix


def _by_example(_: Operation, body: dict[str, Any]) -> Query:
    filters, binds = _example(body)
    limit, more = _limit(body)
    return f"FOR d IN @@c{filters}{limit} RETURN d", binds | more


def _first_example(_: Operation, body: dict[str, Any]) -> Query:
    filters, binds = _example(body)
    # SORT 1 orders nothing, and makes the comparison accept any of the documents that match
    return f"FOR d IN @@c{filters} SORT 1 LIMIT 1 RETURN d", binds


def _any(_: Operation, __: dict[str, Any]) -> Query:
    return "FOR d IN @@c SORT RAND() LIMIT 1 RETURN d", {}


def _lookup(_: Operation, body: dict[str, Any]) -> Query:
    return "FOR d IN @@c FILTER d._key IN @keys RETURN d", {"keys": keys_of(body)}


def _range(_: Operation, body: dict[str, Any]) -> Query:
    attribute = body.get("attribute")
    if not isinstance(attribute, str):
        raise ArangoError(400, "expecting string for <attribute>")
    path, binds = _path("a", attribute)
    end = "<=" if body.get("closed") else "<"
    limit, more = _limit(body)
    binds |= {"left": body.get("left"), "right": body.get("right")} | more
    return f"FOR d IN @@c FILTER {path} >= @left && {path} {end} @right SORT {path}{limit} RETURN d", binds


@dataclass(frozen=True, slots=True)
class ChangeByExample:
    """How documents that match an example are changed. counted: the attribute of the answer that has their number.

    takes_value: the request has a `newValue`.
    """

    text: str
    counted: str
    takes_value: bool = True


CHANGES: Final = {
    "simple.remove-by-example": ChangeByExample("REMOVE d IN @@c", "deleted", takes_value=False),
    "simple.replace-by-example": ChangeByExample(
        "REPLACE d WITH MERGE(KEEP(d, '_from', '_to'), @new) IN @@c", "replaced"
    ),
    "simple.update-by-example": ChangeByExample(
        "UPDATE d WITH @new IN @@c OPTIONS {keepNull: {keep}, mergeObjects: {merge}}", "updated"
    ),
}
_SYSTEM: Final = frozenset({"_key", "_id", "_rev"})


def change_of(operation: Operation) -> Query | None:
    """Return the query that is equivalent to a change by example; None if none is certain to be.

    Raise ArangoError as `as_query`.
    """
    body = body_of(operation)
    given = body.get("options")
    options = {**body, **(given if isinstance(given, dict) else {})}
    limit, value, example = options.get("limit"), body.get("newValue"), body.get("example")
    change = CHANGES[operation.endpoint.name]
    if not isinstance(example, dict) or any("." in name for name in example):
        return None
    if change.takes_value and (not isinstance(value, dict) or value.keys() & _SYSTEM):
        return None
    filters, binds = _example(body)
    binds["@c"] = collection_of(body)
    cut = ""
    if isinstance(limit, int) and limit > 0:
        cut, binds["limit"] = " LIMIT @limit", int(limit)
    if change.takes_value:
        binds["new"] = value
    keep, merge = (str(bool(options.get(name, True))).lower() for name in ("keepNull", "mergeObjects"))
    text = change.text.replace("{keep}", keep).replace("{merge}", merge)
    return f"FOR d IN @@c{filters}{cut} {text}", binds


REMOVAL_BY_KEYS: Final = "simple.remove-by-keys"


def removal_of(operation: Operation) -> tuple[Query, int]:
    """Return the query that is equivalent to a removal by keys, and the number of keys. Raise ArangoError."""
    body = body_of(operation)
    keys = keys_of(body)
    binds = {"@c": collection_of(body), "keys": keys}
    return ("FOR d IN @@c FILTER d._key IN @keys REMOVE d IN @@c", binds), len(body["keys"])


def removed_outcome(removed: int, keys: int) -> Outcome:
    """Return the answer to a removal by keys."""
    return json_outcome(200, {"removed": removed, "ignored": keys - removed, "error": False, "code": 200})


def changed_outcome(operation: Operation, number: int) -> Outcome:
    """Return the answer to a change by example of a number of documents."""
    return json_outcome(200, {CHANGES[operation.endpoint.name].counted: number, "error": False, "code": 200})


def _limit(body: dict[str, Any]) -> Query:
    skip, limit = body.get("skip"), body.get("limit")
    for one in (skip, limit):
        if one is not None and (not isinstance(one, int) or isinstance(one, bool)):
            raise Unsupported("skip or limit that is not a whole number")
    if any(one is not None and one < 0 for one in (skip, limit)):
        raise ArangoError(1504, "number out of range")
    if limit is None:
        return (" LIMIT @skip, 9223372036854775807", {"skip": skip}) if skip else ("", {})
    return " LIMIT @skip, @limit", {"skip": skip or 0, "limit": limit}


def _example(body: dict[str, Any]) -> Query:
    example = body.get("example")
    if not isinstance(example, dict):
        raise ArangoError(400, "<example> must be an object")
    parts: list[str] = []
    binds: dict[str, Any] = {}
    for number, (name, value) in enumerate(example.items()):
        path, names = _path(f"p{number}_", name)
        parts.append(f"{path} == @v{number}")
        binds |= names | {f"v{number}": value}
    return (f" FILTER {' && '.join(parts)}" if parts else ""), binds


def _path(prefix: str, dotted: str) -> Query:
    """Return `a.b` as an attribute access.

    Names are quoted by backticks, so that queries of different attributes have different fingerprints; a part that is
    not a plain name is a bind parameter.
    """
    text, binds = "d", {}
    for number, part in enumerate(dotted.split(".")):
        if _NAME.fullmatch(part):
            text += f".`{part}`"
        else:
            text += f".@{prefix}{number}"
            binds[f"{prefix}{number}"] = part
    return text, binds


_MAKERS: Final[dict[str, Callable[[Operation, dict[str, Any]], Query]]] = {
    "simple.all": _all,
    "simple.all-keys": _all_keys,
    "simple.any": _any,
    "simple.by-example": _by_example,
    "simple.first-example": _first_example,
    "simple.lookup-by-keys": _lookup,
    "simple.range": _range,
}


# ---- edges of vertices


def wanted_edges(operation: Operation) -> list[str]:
    """Return JSON texts, of which every edge of the requested vertices contains at least one.

    GET ?vertex=…&direction=any|in|out, or POST with an array of vertices. Raise ArangoError as ArangoDB answers.
    """
    direction = operation.params.get("direction", "any")
    if direction not in ("any", "in", "out"):
        raise ArangoError(400, "<direction> must be any, in, or out, not: " + direction)
    if operation.method == "POST":
        given = json_values.parse(operation.body)
        if not isinstance(given, list) or not all(isinstance(item, str) for item in given):
            raise ArangoError(10, "expected type Array<String> as body")
        vertices = list(dict.fromkeys(given))
    else:
        vertex = operation.params.get("vertex")
        if not vertex:
            raise ArangoError(1205, "illegal document identifier")
        vertices = [vertex]
    sides = [side for side, other in (("_from", "in"), ("_to", "out")) if direction != other]
    return [json_values.dump({side: escape_text(vertex)}).decode() for side in sides for vertex in vertices]


AROUND_EDGES: Final = b'{"edges":['


def after_edges(number: int) -> bytes:
    """Return what follows the edges in an answer."""
    stats = dict.fromkeys(_STATS, 0) | {"documentLookups": number, "scannedIndex": number, "searchParallelism": 1}
    return b'],"error":false,"code":200,"stats":' + json_values.dump(stats) + b"}"


def edges_outcome(rows: Sequence[bytes]) -> Outcome:
    """Return the edges in the order of their revisions, with statistics as in ArangoDB's answer."""
    ordered = sorted(rows, key=lambda row: decode_rev(json_reader.load(row)["_rev"]))
    return Outcome(200, AROUND_EDGES + b",".join(ordered) + after_edges(len(rows)))
