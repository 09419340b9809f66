"""Kinds of writes as data: one or a few requests by one client. `ends` crosses them with the ways to end."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from tests.unit.wire.vpack import encode

BOOKS, LINKS = "books", "links"
D, E = f"/_api/document/{BOOKS}", f"/_api/document/{LINKS}"
CURSOR, GRAPH = "/_api/cursor", "/_api/gharial/g"
PACKED: Final = {"content-type": "application/x-velocypack", "accept": "application/x-velocypack"}


@dataclass(frozen=True, slots=True)
class Step:
    """One request. Its texts may contain `{n}`, the cell's number, and `{transaction}`."""

    method: str
    path: str
    body: Any = None
    headers: tuple[tuple[str, str], ...] = ()

    def filled(self, **values: object) -> Step:
        """Return the step with the values in their places."""
        return Step(
            self.method,
            _filled(self.path, values),
            _filled(self.body, values),
            tuple((name, _filled(value, values)) for name, value in self.headers),
        )

    @property
    def content(self) -> bytes:
        if self.body is None:
            return b""
        if isinstance(self.body, str):
            return self.body.encode()
        return encode(self.body) if ("content-type", PACKED["content-type"]) in self.headers else as_json(self.body)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of write.

    steps: its requests; the end of the last one is checked. flip: True if a flip survives an executed write; False if
    it is rolled back, since the keys are unknown; None if that depends on the way. conflicts: the last step, sent a
    second time, is refused (409, 404, 412). opaque: it is not captured, and marks what it may have changed.
    """

    name: str
    steps: tuple[Step, ...]
    flip: bool | None = True
    conflicts: bool = False
    opaque: bool = False


def one(
    name: str, method: str, path: str, body: Any = None, *, flip: bool | None = True, conflicts: bool = False
) -> Kind:
    return Kind(name, (Step(method, path, body),), flip, conflicts)


def aql(name: str, query: str, *, flip: bool | None = True, **more: Any) -> Kind:
    return one(name, "POST", CURSOR, {"query": query, "batchSize": 1, **more}, flip=flip)


def job(name: str, method: str, path: str, body: Any) -> Kind:
    return Kind(name, (Step(method, path, body, (("x-arango-async", "store"),)),))


def within(name: str, *steps: Step, end: str = "PUT", flip: bool = True) -> Kind:
    """Wrap the steps in a stream transaction that then ends."""
    begin = Step("POST", "/_api/transaction/begin", {"collections": {"write": [BOOKS, LINKS]}})
    inside = [
        Step(step.method, step.path, step.body, (*step.headers, ("x-arango-trx-id", "{transaction}"))) for step in steps
    ]
    return Kind(name, (begin, *inside, Step(end, "/_api/transaction/{transaction}")), flip)


# documents k0 to k9 and one edge from k8 to k9 are there before each cell, with numbers `n` of their own
_SELECT_FEW: Final = "FOR d IN books FILTER d.n < 4 "
_PARTS: Final = {"intermediateCommitCount": 1}
_REMOVES_FAILS: Final = "FOR k IN ['k1', 'k2', 'none'] REMOVE k IN books"
_TWO_FAIL: Final = (
    "INSERT {_key: 'new{n}'} INTO books INSERT {_key: 'e', _from: 'books/k8', _to: 'books/k9'} INTO links"
)
_DEFINED: Final = {"collection": LINKS, "from": [BOOKS]}
_EXAMPLE: Final = {"collection": BOOKS, "example": {"n": 3}}
_REMOVED_KEYS: Final = Step("PUT", "/_api/simple/remove-by-keys", {"collection": BOOKS, "keys": ["k1", "books/k2"]})
_BY_EXAMPLE: Final = Step("PUT", "/_api/simple/update-by-example", {**_EXAMPLE, "newValue": {"v": 1}})
_IMPORTED: Final = Step("POST", "/_api/import?collection=books&type=array", [{"v": 1}])
_IMPORTED_KEYS: Final = Step("POST", "/_api/import?collection=books&type=documents", '{"_key":"new{n}"}\n')
KINDS: Final[tuple[Kind, ...]] = (
    one("insert", "POST", D, {"_key": "new{n}", "v": 1.5}, conflicts=True),
    one("insert, key of the server", "POST", D, {"v": 1}),
    one("insert, silent", "POST", D + "?silent=true", {"_key": "new{n}"}, conflicts=True),
    one("insert, array", "POST", D + "?returnNew=true", [{"_key": "new{n}"}, {"v": 1}, {"_key": "k1"}, 7]),
    one("insert, update", "POST", D + "?overwriteMode=update&keepNull=false", {"_key": "k1", "n": None, "v": {"a": 1}}),
    one("insert, replace", "POST", D + "?overwrite=true&returnOld=true&waitForSync=true", {"_key": "k1"}),
    one("insert, ignore", "POST", D + "?overwriteMode=ignore", {"_key": "k1", "v": 1}),
    one("replace", "PUT", D + "/k1?returnOld=true", {"v": "{n}"}),
    one("replace, array", "PUT", D + "?silent=true", [{"_key": "k1"}, {"_key": "none"}, {"_key": "k2", "v": 1}]),
    one("update", "PATCH", D + "/k1?keepNull=false&mergeObjects=false", {"n": None, "v": [1, "{n}"]}),
    one("update, nothing", "PATCH", D + "/k1", {}),
    one("update, array", "PATCH", D, [{"_key": "k1", "v": 1}, {"_key": "k2", "v": 2}]),
    one("remove", "DELETE", D + "/k1?returnOld=true", conflicts=True),
    one("remove, silent", "DELETE", D + "/k1?silent=true", conflicts=True),
    one("remove, array", "DELETE", D, ["k1", "none", {"_key": "k2"}]),
    one("edge", "POST", E, {"_key": "edge{n}", "_from": "books/k1", "_to": "books/k2"}),
    Kind("insert, velocypack", (Step("POST", D, {"_key": "new{n}", "v": -7}, tuple(PACKED.items())),), conflicts=True),
    Kind(
        "restore",
        (Step("POST", D + "?isRestore=true", {"_key": "restored", "_rev": "_l6zhVTW--A"}),),
        False,
        opaque=True,
    ),
    one("import", "POST", "/_api/import?collection=books&type=array", [{"_key": "new{n}"}, {"v": 1}, {"_key": "k1"}]),
    one("import, keys", "POST", "/_api/import?collection=books&type=documents&onDuplicate=replace", '{"_key":"k1"}\n'),
    one("import, complete", "POST", "/_api/import?collection=books&type=array&complete=true", [{"v": 1}], flip=False),
    one("import, overwrite", "POST", "/_api/import?collection=books&type=array&overwrite=true", [{"v": 1}], flip=False),
    aql("AQL insert", "FOR i IN 1..3 INSERT {i, v: '{n}'} INTO books RETURN NEW"),
    aql("AQL insert, keys", "FOR i IN 1..3 INSERT {_key: CONCAT('new{n}-', i)} INTO books RETURN NEW", ttl=1000),
    aql("AQL update", _SELECT_FEW + "UPDATE d WITH {v: '{n}'} IN books RETURN NEW", count=True),
    aql(
        "AQL replace",
        _SELECT_FEW + "REPLACE d WITH {n: d.n, v: '{n}'} IN books RETURN OLD",
        options={"allowRetry": True},
    ),
    aql("AQL remove", _SELECT_FEW + "REMOVE d IN books RETURN OLD._key"),
    aql("AQL remove, no rows", _SELECT_FEW + "REMOVE d IN books"),
    aql("AQL remove, stream", _SELECT_FEW + "REMOVE d IN books RETURN OLD._key", stream=True),
    aql("AQL upsert", "FOR i IN 1..3 UPSERT {n: i} INSERT {n: i} UPDATE {v: '{n}'} IN books RETURN NEW"),
    aql(
        "AQL of two",
        _SELECT_FEW + "UPDATE d WITH {v: 1} IN books INSERT {_from: d._id, _to: d._id} INTO links RETURN 1",
    ),
    aql(
        "AQL, no keys",
        "LET gone = (" + _SELECT_FEW + "REMOVE d IN books RETURN OLD) FOR d IN gone RETURN d",
        flip=False,
    ),
    aql(
        "AQL, no keys, stream", "FOR d IN books UPDATE d WITH {v: 1} IN books LIMIT 2 RETURN 1", flip=False, stream=True
    ),
    aql("AQL that fails", "FOR i IN [1, 2, 2] INSERT {_key: CONCAT('new{n}-', i)} INTO books RETURN 1"),
    aql("AQL that removes and fails", "FOR k IN ['k1', 'k1', 'none'] REMOVE k IN books RETURN 1"),
    aql(
        "AQL that fails, in parts",
        "FOR i IN [1, 2, 2] INSERT {_key: CONCAT('new{n}-', i)} INTO books RETURN 1",
        options=_PARTS,
    ),
    aql(
        "AQL that updates and fails, in parts", "FOR k IN ['k1', 'none'] UPDATE k WITH {v: 1} IN books", options=_PARTS
    ),
    aql("AQL that removes and fails, in parts", "FOR k IN ['k1', 'none'] REMOVE k IN books RETURN 1", options=_PARTS),
    aql("AQL that removes and fails, stream", _REMOVES_FAILS, options={**_PARTS, "stream": True}),
    aql("AQL without a loop, in parts", _TWO_FAIL, options={"intermediateCommitSize": 1}),
    aql("AQL that fails after its write, in parts", "REMOVE 'k1' IN books RETURN ASSERT(OLD == 1, '')", options=_PARTS),
    aql("AQL, no keys, in parts", f"LET gone = ({_REMOVES_FAILS} RETURN 1) RETURN gone", flip=None, options=_PARTS),
    within(
        "transaction",
        Step("POST", D, {"_key": "new{n}"}),
        Step("DELETE", D + "/k1"),
        Step("PATCH", D + "/k2", {"v": 1}),
    ),
    within("transaction, aborted", Step("POST", D, {"_key": "new{n}"}), Step("DELETE", D + "/k1"), end="DELETE"),
    within(
        "transaction, AQL",
        Step("POST", CURSOR, {"query": _SELECT_FEW + "REMOVE d IN books RETURN OLD", "batchSize": 1}),
        Step("POST", CURSOR, {"query": "FOR i IN 1..3 INSERT {i} INTO books RETURN 1", "batchSize": 1, "stream": True}),
    ),
    within(
        "transaction, graph",
        Step("POST", GRAPH + "/vertex/books", {"v": 1}),
        Step("POST", GRAPH + "/edge/links", {"_from": "books/k1", "_to": "books/k8"}),
        Step("PATCH", GRAPH + "/vertex/books/k1", {"v": 1}),
        Step("DELETE", GRAPH + "/vertex/books/k8"),
    ),
    within("transaction, by keys", _REMOVED_KEYS, _IMPORTED_KEYS),
    within("transaction, by keys, aborted", _REMOVED_KEYS, _IMPORTED_KEYS, end="DELETE"),
    within("transaction, by example", _BY_EXAMPLE, flip=False),
    within("transaction, import", _IMPORTED, flip=False),
    within("transaction, truncate", Step("PUT", "/_api/collection/links/truncate"), flip=False),
    one("vertex", "POST", GRAPH + "/vertex/books", {"_key": "new{n}"}, conflicts=True),
    one("vertex, update", "PATCH", GRAPH + "/vertex/books/k1?returnNew=true", {"v": "{n}"}),
    one("vertex, remove", "DELETE", GRAPH + "/vertex/books/k8"),
    one("edge of a graph", "POST", GRAPH + "/edge/links", {"_from": "books/k1", "_to": "books/k2"}),
    one("graph, vertex collection", "POST", GRAPH + "/vertex", {"collection": "orphans{n}"}),
    one("graph, edge definition", "PUT", GRAPH + "/edge/links", {**_DEFINED, "to": ["books", "more{n}"]}),
    one("remove by keys", "PUT", "/_api/simple/remove-by-keys", {"collection": BOOKS, "keys": ["k1", "books/k2"]}),
    one("update by example", "PUT", "/_api/simple/update-by-example", {**_EXAMPLE, "newValue": {"v": 1}}, flip=False),
    one("remove by example", "PUT", "/_api/simple/remove-by-example", _EXAMPLE, flip=False),
    one("truncate", "PUT", "/_api/collection/links/truncate", flip=False),
    job("job", "POST", D, {"_key": "new{n}"}),
    job("job, AQL", "POST", CURSOR, {"query": _SELECT_FEW + "REMOVE d IN books RETURN OLD", "batchSize": 1}),
)


def _filled(value: Any, values: dict[str, object]) -> Any:
    if isinstance(value, str):
        for name, replacement in values.items():
            value = value.replace("{" + name + "}", str(replacement))
        return value
    if isinstance(value, dict):
        return {name: _filled(item, values) for name, item in value.items()}
    return [_filled(item, values) for item in value] if isinstance(value, list) else value


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()
