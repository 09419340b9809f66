"""Sequences of requests in and beside stream transactions, which both servers must answer alike. Data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tests.integration.steps import COLLECTION, DOCUMENT, Step, delete, documents, get, patch, post, put

BEGIN: Final = "/_api/transaction/begin"
CURSOR: Final = "/_api/cursor"


def begin(**body: Any) -> Step:
    return Step("POST", BEGIN, body, save={"t": "result.id"})


def within(step: Step, name: str = "t") -> Step:
    return Step(step.method, step.target, step.body, {"x-arango-trx-id": f"{{{name}}}"}, step.save)


def query(text: str, **binds: Any) -> Step:
    return post(CURSOR, {"query": text, "bindVars": binds})


SETUP: Final = (
    post(COLLECTION, {"name": "c"}),
    post(COLLECTION, {"name": "d"}),
    post(COLLECTION, {"name": "e", "type": 3}),
    post(f"{DOCUMENT}/c", documents("a", "b")),
)
SEQUENCES: Final[Mapping[str, tuple[Step, ...]]] = {
    "documents": (
        begin(collections={"write": ["c"]}),
        within(post(f"{DOCUMENT}/c?returnNew=true", {"_key": "x", "n": 1})),
        within(get(f"{DOCUMENT}/c/x")),
        get(f"{DOCUMENT}/c/x"),
        within(patch(f"{DOCUMENT}/c/x?returnOld=true&returnNew=true", {"m": 2})),
        within(get(f"{COLLECTION}/c/figures?details=true")),
        within(post(f"{DOCUMENT}/c", {"_key": "x"})),
        within(post(f"{DOCUMENT}/c", [{"_key": "x"}, {"_key": "y"}, {}])),
        within(delete(f"{DOCUMENT}/c/a")),
        within(get(f"{DOCUMENT}/c/a")),
        get(f"{DOCUMENT}/c/a"),
        within(get(f"{COLLECTION}/c/count")),
        within(get(f"{COLLECTION}/c/checksum?withData=true")),
        Step("POST", CURSOR, {"query": "RETURN 1"}, {"x-arango-trx-id": "17"}),
        Step("POST", CURSOR, {"query": "RETURN 1"}, {"x-arango-trx-id": ""}),
        get(f"{COLLECTION}/c/count"),
        within(put(f"{DOCUMENT}/c?onlyget=true", ["a", "b", "x"])),
        within(put("/_api/simple/all", {"collection": "c"})),
        get("/_api/transaction/{t}"),
        get("/_api/transaction"),
        put("/_api/transaction/{t}"),
        put("/_api/transaction/{t}"),
        delete("/_api/transaction/{t}"),
        get("/_api/transaction/{t}"),
        get("/_api/transaction"),
        within(get(f"{DOCUMENT}/c/x")),
        get(f"{DOCUMENT}/c/x"),
        get(f"{DOCUMENT}/c/a"),
    ),
    "arrays and imports beside another transaction": (
        begin(collections={"write": ["c", "d"]}),
        within(post(f"{DOCUMENT}/c", {"_key": "x"})),
        within(patch(f"{DOCUMENT}/c/a", {"n": 5})),
        # some of the documents are locked, or are being inserted
        post(f"{DOCUMENT}/c", [{"_key": "x"}, {"_key": "z"}, {}]),
        patch(f"{DOCUMENT}/c", [{"_key": "a", "n": 6}, {"_key": "b", "n": 7}]),
        post("/_api/import?collection=c&type=array&details=true", [{"_key": "x"}, {"_key": "y"}, {"_key": "b"}]),
        post("/_api/import?collection=c&type=array&onDuplicate=update", [{"_key": "a", "n": 6}, {"_key": "b", "n": 8}]),
        post("/_api/import?collection=c&type=array&complete=true", [{"_key": "x"}, {"_key": "w"}]),
        # some have changed since the transaction began
        within(put(f"{DOCUMENT}/c", [{"_key": "b"}, {"_key": "x", "n": 2}, {"_key": "y"}])),
        within(post(f"{DOCUMENT}/c?overwriteMode=replace", [{"_key": "y"}, {"_key": "v"}])),
        within(
            post("/_api/import?collection=c&type=array&details=true", [{"_key": "y"}, {"_key": "u"}, {"_key": "x"}])
        ),
        within(post("/_api/import?collection=c&type=array&complete=true", [{"_key": "z"}, {"_key": "t"}])),
        within(get(f"{DOCUMENT}/c/u")),
        within(get(f"{DOCUMENT}/c/t")),
        put("/_api/transaction/{t}"),
        put("/_api/simple/all", {"collection": "c"}),
    ),
    "values of a unique index that another transaction has": (
        post(
            "/_api/index?collection=c",
            {"type": "persistent", "fields": ["n"], "unique": True, "sparse": True, "name": "u"},
        ),
        begin(collections={"write": ["c"]}),
        within(post(f"{DOCUMENT}/c", [{"_key": "x", "n": 1}, {"_key": "y", "n": 2}])),
        post(f"{DOCUMENT}/c", {"_key": "v", "n": 1}),
        post(f"{DOCUMENT}/c", [{"_key": "v", "n": 1}, {"_key": "w", "n": 3}, {"_key": "z", "n": 2}]),
        patch(f"{DOCUMENT}/c/a", {"n": 2}),
        patch(f"{DOCUMENT}/c", [{"_key": "a", "n": 2}, {"_key": "b", "n": 4}]),
        post("/_api/import?collection=c&type=array&details=true", [{"_key": "v", "n": 1}, {"_key": "t", "n": 5}]),
        query("INSERT {_key: 'v', n: 1} INTO c"),
        query(
            "FOR n IN [7, 1, 8, 2] INSERT {_key: CONCAT('k', n), n} INTO c OPTIONS {ignoreErrors: true} RETURN NEW.n"
        ),
        query(
            "FOR x IN c SORT x._key UPDATE x WITH {n: x.n == 7 ? 1 : 9} IN c OPTIONS {ignoreErrors: true} RETURN NEW"
        ),
        within(query("FOR x IN c FILTER x.n == 1 UPDATE x WITH {n: 6} IN c")),
        query("FOR n IN [1, 10] INSERT {_key: CONCAT('j', n), n} INTO c OPTIONS {ignoreErrors: true} RETURN NEW.n"),
        put("/_api/transaction/{t}"),
        put("/_api/simple/all", {"collection": "c"}),
    ),
    "values of a unique index that are taken or released since": (
        post(
            "/_api/index?collection=c",
            {"type": "persistent", "fields": ["m"], "unique": True, "sparse": True, "name": "u"},
        ),
        begin(collections={"write": ["c"]}),
        within(patch(f"{DOCUMENT}/c/a", {"n": 5})),
        post(f"{DOCUMENT}/c", {"_key": "x", "m": 1}),
        within(
            query("FOR m IN [1, 2] INSERT {_key: CONCAT('k', m), m} INTO c OPTIONS {ignoreErrors: true} RETURN NEW.m")
        ),
        within(query("INSERT {_key: 'y', m: 1} INTO c")),
        put("/_api/transaction/{t}"),
        put("/_api/simple/all", {"collection": "c"}),
    ),
    "arrays and imports whose unique values are taken since": (
        post(
            "/_api/index?collection=c",
            {"type": "persistent", "fields": ["m"], "unique": True, "sparse": True, "name": "u"},
        ),
        post(
            "/_api/index?collection=c",
            {"type": "persistent", "fields": ["o.x"], "unique": True, "sparse": True, "name": "x"},
        ),
        begin(collections={"write": ["c"]}),
        within(patch(f"{DOCUMENT}/c/a", {"m": 5})),
        post(f"{DOCUMENT}/c", [{"_key": "x", "m": 1}, {"_key": "y", "m": 2, "o": {"x": 1}}, {"_key": "z"}]),
        within(post("/_api/import?collection=c&type=array", [{"m": 1}, {"_key": "p", "m": 2}])),
        within(
            post(
                "/_api/import?collection=c&type=array&details=true",
                [
                    {"_key": "k", "m": 1},
                    {"_key": "k", "m": 3},
                    {"_key": "l", "m": 4, "o": {"x": 1}},
                    {"_key": "z"},
                    {"_key": "a"},
                    {"_key": "n", "m": 5},
                ],
            )
        ),
        within(post("/_api/import?collection=c&type=array&complete=true", [{"_key": "q"}, {"_key": "r", "m": 1}])),
        within(post("/_api/import?collection=c&type=array&complete=true", [{"_key": "q"}, {"_key": "z"}])),
        within(
            post(
                "/_api/import?collection=c&type=list&onDuplicate=update",
                [{"_key": "a", "m": 2}, {"_key": "b", "n": 7}, {"_key": "b", "m": 1}],
            )
        ),
        within(
            post(
                f"{DOCUMENT}/c?overwriteMode=replace&returnOld=true",
                [{"_key": "b", "m": 1}, {"_key": "s", "m": 6}, {"m": 2}, {"_key": "x"}, {"_key": "t", "m": 6}],
            )
        ),
        within(patch(f"{DOCUMENT}/c", [{"_key": "a", "m": 1}, {"_key": "b", "n": 8}, {"_key": "x", "n": 1}])),
        within(put(f"{DOCUMENT}/c", [{"_key": "a", "o": {"x": 1}}, {"_key": "b", "m": 7}])),
        within(post(f"{DOCUMENT}/c", {"_key": "u", "m": 1})),
        within(patch(f"{DOCUMENT}/c/a", {"m": 2})),
        within(put("/_api/simple/all", {"collection": "c"})),
        put("/_api/transaction/{t}"),
        put("/_api/simple/all", {"collection": "c"}),
    ),
    "what is refused or ignored locks no document": (
        begin(collections={"write": ["c"]}),
        within(post(f"{DOCUMENT}/c", {"_key": "a"})),
        within(post(f"{DOCUMENT}/c?overwriteMode=ignore", {"_key": "b"})),
        patch(f"{DOCUMENT}/c/a", {"n": 6}),
        patch(f"{DOCUMENT}/c/b", {"n": 6}),
        delete("/_api/transaction/{t}"),
        begin(collections={"write": ["c"]}),
        within(post(f"{DOCUMENT}/c", [{"_key": "a"}, {"_key": "x"}])),
        within(post(f"{DOCUMENT}/c?overwriteMode=ignore", [{"_key": "b"}, {"_key": "y"}])),
        within(post("/_api/import?collection=c&type=array", [{"_key": "b"}, {"_key": "z"}])),
        patch(f"{DOCUMENT}/c/a", {"n": 7}),
        patch(f"{DOCUMENT}/c/b", {"n": 7}),
        post(f"{DOCUMENT}/c", {"_key": "x"}),
        put("/_api/transaction/{t}"),
        put("/_api/simple/all", {"collection": "c"}),
    ),
    "queries that ignore locked documents": (
        begin(collections={"write": ["c"]}),
        within(patch(f"{DOCUMENT}/c/a", {"n": 5})),
        within(post(f"{DOCUMENT}/c", {"_key": "x"})),
        query("UPDATE 'a' WITH {n: 6} IN c OPTIONS {ignoreErrors: true} RETURN NEW"),
        query("FOR k IN ['b', 'a'] UPDATE k WITH {n: 7} IN c OPTIONS {ignoreErrors: true} RETURN NEW.n"),
        query("FOR k IN ['x', 'y'] INSERT {_key: k} INTO c OPTIONS {ignoreErrors: true} RETURN NEW._key"),
        query("FOR x IN c SORT x._key REMOVE x IN c OPTIONS {ignoreErrors: true} RETURN OLD._key"),
        query("UPDATE 'a' WITH {n: 6} IN c"),
        query("UPDATE 'a' WITH {} IN c"),
        query("INSERT {_key: 'a'} INTO c OPTIONS {overwriteMode: 'ignore'}"),
        query("INSERT {_key: 'a'} INTO c"),
        query("FOR k IN ['a', 'b'] INSERT {_key: k} INTO c OPTIONS {overwriteMode: 'ignore', ignoreErrors: true}"),
        query("FOR k IN ['b', 'a'] INSERT {_key: k} INTO c OPTIONS {overwriteMode: 'ignore'} INSERT {n: 5} INTO d"),
        query("RETURN LENGTH(d)"),
        put("/_api/transaction/{t}"),
        put("/_api/simple/all", {"collection": "c"}),
    ),
    "imports of a collection that is locked": (
        begin(collections={"exclusive": ["c"]}),
        post("/_api/import?collection=c&type=auto", "[]\n{}"),
        post("/_api/import?collection=c&type=array", {"not": "an array"}),
        within(post("/_api/import?collection=c&type=array", {"not": "an array"})),
        put("/_api/transaction/{t}"),
        post("/_api/import?collection=c&type=array", {"not": "an array"}),
    ),
    "collections that are not declared": (
        begin(collections={"write": ["c"]}, allowImplicit=True),
        post(f"{DOCUMENT}/d", {"_key": "later"}),
        within(get(f"{DOCUMENT}/d/later")),
        within(query("FOR x IN d RETURN x._key")),
        put("/_api/transaction/{t}"),
    ),
    "collections that are made later": (
        begin(collections={"write": ["c"]}, allowImplicit=True),
        post(COLLECTION, {"name": "later"}),
        post(f"{DOCUMENT}/later", {"_key": "a"}),
        within(query("FOR x IN later RETURN x._key")),
        within(get(f"{DOCUMENT}/later/a")),
        within(get(f"{COLLECTION}/later/count")),
        put("/_api/transaction/{t}"),
        begin(collections={"write": ["c"]}, allowImplicit=True),
        within(get(f"{DOCUMENT}/later/a")),
        put("/_api/transaction/{t}"),
    ),
    "queries": (
        begin(collections={"write": ["c", "d"], "read": ["e"]}),
        within(query("FOR k IN ['a', 'x'] UPSERT {_key: k} INSERT {_key: k, n: 1} UPDATE {n: 2} IN c RETURN NEW.n")),
        within(query("FOR x IN c SORT x._key RETURN [x._key, x.n]")),
        query("FOR x IN c SORT x._key RETURN [x._key, x.n]"),
        within(query("FOR x IN c INSERT {_key: x._key} INTO d RETURN NEW._key")),
        within(query("INSERT {_key: 'a'} INTO c")),
        within(query("FOR x IN c REMOVE x IN c RETURN OLD._key")),
        within(query("RETURN LENGTH(c)")),
        within(query("INSERT {_from: 'c/a', _to: 'c/b'} INTO e")),
        within(query("FOR x IN e RETURN x")),
        within(query("FOR x IN nope RETURN x")),
        within(query("FOR x IN")),
        within(post(CURSOR, {"query": "FOR i IN 1..5 RETURN i", "batchSize": 2})),
        delete("/_api/transaction/{t}"),
        delete("/_api/transaction/{t}"),
        put("/_api/transaction/{t}"),
        query("FOR x IN c SORT x._key RETURN [x._key, x.n]"),
        query("RETURN LENGTH(d)"),
    ),
    "queries that leave documents as they are": (
        begin(collections={"write": ["c"]}),
        patch(f"{DOCUMENT}/c/a", {"n": 6}),  # after the snapshot of the transaction
        within(query("INSERT {_key: 'a'} INTO c OPTIONS {overwriteMode: 'ignore'}")),
        within(query("INSERT {_key: 'a'} INTO c")),
        within(query("FOR k IN ['b', 'a'] UPDATE k WITH {} IN c")),
        within(query("FOR k IN ['b', 'a'] UPDATE k WITH {n: 7} IN c")),
        within(query("FOR x IN c SORT x._key UPDATE x WITH {n: 7} IN c OPTIONS {ignoreErrors: true} RETURN NEW.n")),
        within(query("INSERT {_key: 'b'} INTO c OPTIONS {overwriteMode: 'ignore'}")),
        within(query("INSERT {_key: 'b'} INTO c")),
        within(
            query("FOR k IN ['a', 'b'] INSERT {_key: k} INTO c OPTIONS {overwriteMode: 'ignore', ignoreErrors: true}")
        ),
        within(query("FOR x IN c SORT x._key RETURN [x._key, x.n]")),
        patch(f"{DOCUMENT}/c/b", {"n": 6}),
        put("/_api/transaction/{t}"),
    ),
    "declarations": (
        post(BEGIN, {}),
        post(BEGIN, {"collections": {"write": 7}}),
        post(BEGIN, {"collections": {"write": ["nope"]}}),
        post(BEGIN, {"collections": {}, "lockTimeout": -1}),
        get("/_api/transaction/1"),
        put("/_api/transaction/nonsense"),
        delete("/_api/transaction/7"),
        begin(collections={"read": ["c"]}, allowImplicit=False),
        within(post(f"{DOCUMENT}/c", {})),
        within(get(f"{DOCUMENT}/d/a")),
        within(query("FOR x IN d RETURN x")),
        within(query("FOR x IN c RETURN x._key")),
        within(query("INSERT {} INTO d")),
        within(put(f"{COLLECTION}/c/truncate")),
        delete("/_api/transaction/{t}"),
        begin(collections={"read": ["c"]}),
        within(query("FOR x IN d RETURN x")),
        within(get(f"{DOCUMENT}/d/a")),
        within(get(f"{DOCUMENT}/nope/a")),
        within(post(f"{DOCUMENT}/nope", {})),
        put("/_api/transaction/{t}"),
    ),
    "other writes": (
        begin(collections={"write": ["c", "e"]}),
        within(post("/_api/import?collection=c&type=list", [{"_key": "i"}, {"_key": "a"}])),
        within(put("/_api/simple/remove-by-keys", {"collection": "c", "keys": ["a", "b", "zz"]})),
        within(put(f"{COLLECTION}/c/truncate")),
        within(get(f"{COLLECTION}/c/count")),
        get(f"{COLLECTION}/c/count"),
        within(post(f"{DOCUMENT}/e", {"_from": "c/a", "_to": "c/b", "_key": "1"})),
        within(get("/_api/edges/e?vertex=c/a")),
        put("/_api/transaction/{t}"),
        get(f"{COLLECTION}/c/count"),
        get(f"{COLLECTION}/e/count"),
    ),
    "graphs": (
        post("/_api/gharial", {"name": "g", "edgeDefinitions": [{"collection": "e", "from": ["c"], "to": ["c"]}]}),
        begin(collections={"write": ["c", "e"]}),
        within(post("/_api/gharial/g/vertex/c", {"_key": "v"})),
        within(post("/_api/gharial/g/edge/e", {"_from": "c/v", "_to": "c/a", "_key": "1"})),
        within(get("/_api/gharial/g/edge/e/1")),
        get("/_api/gharial/g/edge/e/1"),
        within(patch("/_api/gharial/g/vertex/c/v", {"n": 1})),
        within(delete("/_api/gharial/g/vertex/c/a")),
        put("/_api/transaction/{t}"),
        get("/_api/gharial/g/edge/e/1"),
        get(f"{DOCUMENT}/c/v"),
    ),
    "all of a database": (
        begin(collections={"write": ["c"]}),
        within(post(f"{DOCUMENT}/c", {"_key": "x"})),
        delete("/_api/transaction/write"),
        get("/_api/transaction/{t}"),
        get(f"{DOCUMENT}/c/x"),
    ),
}
