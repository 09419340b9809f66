"""The endpoints of ArangoDB's HTTP API, one row each: methods, path patterns, and all facts that the proxy decides by.

`{…}` in a pattern stands for one segment, a last `*` for any number of them; `{c}` is a collection, `{k}` a document's
key. `?name` at its end: only with that parameter in the query string. ANY stands for every method. Several methods or
patterns are separated by spaces. Facts that a family has in common are in the partial applications before the table.
`wire.path_tree` finds the row of a request. What each fact means: `model.endpoint`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final, NamedTuple

from proxy.model.endpoint import (
    CollectionIn,
    Effect,
    Endpoint,
    Family,
    InTransaction,
    Read,
    Refusal,
    Verb,
    WriteRoute,
)

READ, WRITE, QUERY = Effect.READ, Effect.WRITE, Effect.QUERY
CONTROL, OPAQUE, PASS = Effect.CONTROL, Effect.OPAQUE, Effect.PASSTHROUGH
IN_QUERY, IN_BODY, IN_BODY_NAME = CollectionIn.QUERY, CollectionIn.BODY, CollectionIn.BODY_NAME
PART, UNSURE = InTransaction.PART, InTransaction.UNSURE

_read = partial(Endpoint, family=Family.DOCUMENT, effect=READ)
_write = partial(
    Endpoint,
    family=Family.DOCUMENT,
    effect=WRITE,
    capture="documents",
    write_route=WriteRoute.DOCUMENT,
    in_transaction=PART,
)
_aql = partial(Endpoint, family=Family.QUERY, effect=PASS)
_cursor = partial(Endpoint, family=Family.CURSOR, effect=PASS, needs_user=True)
_collection = partial(Endpoint, family=Family.COLLECTION, effect=PASS)
_change = partial(
    Endpoint, family=Family.COLLECTION, effect=CONTROL, capture="collection_changes", write_route=WriteRoute.COLLECTION
)
_index = partial(Endpoint, family=Family.INDEX)
_database = partial(Endpoint, family=Family.DATABASE)
_uncaptured = partial(Endpoint, effect=OPAQUE, write_route=WriteRoute.UNCAPTURED)
_transaction = partial(Endpoint, family=Family.TRANSACTION)
_stream = partial(
    Endpoint, family=Family.TRANSACTION, capture="transactions", write_route=WriteRoute.WHOLE_DATABASE, effect=OPAQUE
)
_graph = partial(Endpoint, family=Family.GRAPH, effect=PASS)
_graph_read = partial(Endpoint, family=Family.GRAPH, effect=PASS, read=Read.GRAPH_DOCUMENT)
_graph_write = partial(
    Endpoint,
    family=Family.GRAPH,
    effect=OPAQUE,
    capture="graph_documents",
    write_route=WriteRoute.GRAPH_DOCUMENT,
    in_transaction=PART,
)
_graph_change = partial(
    Endpoint, family=Family.GRAPH, effect=OPAQUE, capture="graph_definitions", write_route=WriteRoute.GRAPH_DEFINITION
)
_simple = partial(Endpoint, family=Family.SIMPLE, effect=PASS, collection_in=IN_BODY, refusal=Refusal.QUERY)
_simple_write = partial(
    Endpoint,
    family=Family.SIMPLE,
    effect=OPAQUE,
    write_route=WriteRoute.AS_NAMED,
    collection_in=IN_BODY,
    refusal=Refusal.QUERY,
    in_transaction=UNSURE,
)
_user = partial(Endpoint, family=Family.USER, effect=PASS)
_rights = partial(Endpoint, family=Family.USER, effect=PASS, changes_rights=True)
_replication = partial(Endpoint, family=Family.REPLICATION, effect=PASS)
_view = partial(Endpoint, family=Family.VIEW, effect=CONTROL)
_server = partial(Endpoint, family=Family.SERVER, effect=PASS)
_foxx = partial(Endpoint, "foxx", family=Family.SERVICE)

_TABLE: Final[Sequence[tuple[str, str, Endpoint]]] = (
    # documents
    ("GET", "_api/document/{c}/{k}", _read("document.read", read=Read.DOCUMENT)),
    ("HEAD", "_api/document/{c}/{k}", _read("document.head", read=Read.HEAD)),
    ("POST", "_api/document/{c} _api/document", _write("document.insert", verb=Verb.INSERT, collection_in=IN_QUERY)),
    ("PUT", "_api/document/{c}/{k}", _write("document.replace", verb=Verb.REPLACE)),
    ("PATCH", "_api/document/{c}/{k}", _write("document.update", verb=Verb.UPDATE)),
    ("DELETE", "_api/document/{c}/{k}", _write("document.remove", verb=Verb.REMOVE)),
    ("PUT", "_api/document/{c}?onlyget", _read("document.read_many", read=Read.MANY)),
    (
        "PUT",
        "_api/document/{c} _api/document",
        _write("document.replace_many", verb=Verb.REPLACE, collection_in=IN_QUERY),
    ),
    (
        "PATCH",
        "_api/document/{c} _api/document",
        _write("document.update_many", verb=Verb.UPDATE, collection_in=IN_QUERY),
    ),
    ("DELETE", "_api/document/{c}", _write("document.remove_many", verb=Verb.REMOVE)),
    # cursors and queries
    (
        "POST",
        "_api/cursor",
        Endpoint(
            "cursor.create",
            QUERY,
            Family.QUERY,
            capture="queries",
            write_route=WriteRoute.QUERY,
            read=Read.QUERY,
            refusal=Refusal.QUERY,
            in_transaction=PART,
            needs_user=True,
        ),
    ),
    ("POST", "_api/cursor/{id} _api/cursor/{id}/{batch}", _cursor("cursor.next", verb=Verb.NEXT)),
    ("PUT", "_api/cursor/{id}", _cursor("cursor.next", verb=Verb.NEXT)),
    ("DELETE", "_api/cursor/{id}", _cursor("cursor.delete", verb=Verb.DROP)),
    ("POST", "_api/explain", _aql("explain", explains=True)),
    ("POST", "_api/query", _aql("query.parse")),
    ("GET", "_api/query/current", _aql("query.current")),
    ("GET", "_api/query/slow", _aql("query.slow")),
    ("DELETE", "_api/query/slow", _aql("query.clear_slow")),
    ("GET", "_api/query/properties", _aql("query.properties")),
    ("PUT", "_api/query/properties", _aql("query.set_properties")),
    ("GET", "_api/query/rules", _aql("query.rules")),
    ("DELETE", "_api/query/{id}", _aql("query.kill")),
    ("ANY", "_api/query-cache/*", _aql("query.cache")),
    ("ANY", "_api/query-plan-cache/*", _aql("query.plan_cache")),
    ("ANY", "_api/aqlfunction/*", _aql("query.function")),
    # collections
    ("GET", "_api/collection", _collection("collection.list")),
    ("POST", "_api/collection", _change("collection.create", verb=Verb.CREATE, collection_in=IN_BODY_NAME)),
    ("GET", "_api/collection/{c}", _collection("collection.read")),
    ("DELETE", "_api/collection/{c}", _change("collection.drop", verb=Verb.DROP)),
    ("GET", "_api/collection/{c}/properties", _collection("collection.properties")),
    ("PUT", "_api/collection/{c}/properties", _collection("collection.set_properties", effect=CONTROL)),
    ("GET", "_api/collection/{c}/count", _collection("collection.count")),
    ("GET", "_api/collection/{c}/figures", _collection("collection.figures")),
    ("GET", "_api/collection/{c}/revision", _collection("collection.revision")),
    ("GET", "_api/collection/{c}/checksum", _collection("collection.checksum")),
    ("GET", "_api/collection/{c}/shards", _collection("collection.shards")),
    (
        "PUT",
        "_api/collection/{c}/truncate",
        _change("collection.truncate", verb=Verb.TRUNCATE, capture="truncations", in_transaction=PART),
    ),
    ("PUT", "_api/collection/{c}/rename", _change("collection.rename", verb=Verb.RENAME, collection_in=IN_BODY_NAME)),
    ("PUT", "_api/collection/{c}/load", _collection("collection.load")),
    ("PUT", "_api/collection/{c}/unload", _collection("collection.unload")),
    ("PUT", "_api/collection/{c}/loadIndexesIntoMemory", _collection("collection.load_indexes")),
    ("PUT", "_api/collection/{c}/recalculateCount", _collection("collection.recalculate")),
    ("PUT", "_api/collection/{c}/compact", _collection("collection.compact")),
    ("PUT", "_api/collection/{c}/responsibleShard", _collection("collection.responsible_shard")),
    ("GET", "_api/index", _index("index.list", PASS, collection_in=IN_QUERY)),
    ("POST", "_api/index", _index("index.create", CONTROL, write_route=WriteRoute.INDEX, collection_in=IN_QUERY)),
    ("GET", "_api/index/{c}/{i}", _index("index.read", PASS)),
    ("DELETE", "_api/index/{c}/{i}", _index("index.drop", CONTROL)),
    ("ANY", "_api/index/selectivity/*", _index("index.selectivity", PASS)),
    # databases
    ("GET", "_api/database", _database("database.list", PASS)),
    ("GET", "_api/database/user", _database("database.user", PASS, needs_user=True)),
    ("GET", "_api/database/current", _database("database.current", PASS)),
    ("POST", "_api/database", _database("database.create", CONTROL, needs_user=True)),
    ("DELETE", "_api/database/{d}", _change("database.drop", family=Family.DATABASE, verb=Verb.DROP)),
    # bulk writes, and what runs scripts
    (
        "POST",
        "_api/import",
        Endpoint(
            "import",
            OPAQUE,
            Family.BULK,
            capture="imports",
            write_route=WriteRoute.IMPORT,
            in_transaction=UNSURE,
            collection_in=IN_QUERY,
        ),
    ),
    ("POST PUT", "_api/batch", _uncaptured("batch", family=Family.BULK, refusal=Refusal.BATCH)),
    ("POST PUT", "_api/tasks/*", _uncaptured("task", family=Family.SERVER)),
    ("DELETE GET", "_api/tasks/*", _server("task")),
    ("POST", "_admin/execute", _uncaptured("admin.execute", family=Family.SERVER, refusal=Refusal.SCRIPT)),
    # transactions
    (
        "POST",
        "_api/transaction",
        _uncaptured("transaction.js", family=Family.TRANSACTION, refusal=Refusal.SCRIPTED_TRANSACTION),
    ),
    ("POST", "_api/transaction/begin", _stream("transaction.begin", verb=Verb.BEGIN)),
    ("GET", "_api/transaction", _transaction("transaction.list", PASS)),
    ("GET", "_api/transaction/{id}", _transaction("transaction.status", PASS)),
    ("PUT", "_api/transaction/{id}", _stream("transaction.commit", verb=Verb.COMMIT)),
    ("DELETE", "_api/transaction/{id}", _stream("transaction.abort", effect=PASS, verb=Verb.ABORT)),
    # edges and graphs
    ("GET", "_api/edges/{c}", Endpoint("edges.read", PASS, Family.EDGES, read=Read.QUERY_LIKE)),
    ("POST", "_api/edges/{c}", Endpoint("edges.read_many", PASS, Family.EDGES, read=Read.QUERY_LIKE)),
    ("GET", "_api/gharial", _graph("gharial.list")),
    ("POST", "_api/gharial", _graph_change("gharial.create")),
    ("GET", "_api/gharial/{g}", _graph("gharial.read")),
    ("DELETE", "_api/gharial/{g}", _graph_change("gharial.drop")),
    ("GET", "_api/gharial/{g}/vertex", _graph("gharial.vertex_collections")),
    ("POST", "_api/gharial/{g}/vertex", _graph_change("gharial.add_vertex_collection")),
    ("DELETE", "_api/gharial/{g}/vertex/{c}", _graph_change("gharial.remove_vertex_collection")),
    ("POST", "_api/gharial/{g}/vertex/{c}", _graph_write("gharial.vertex_insert", verb=Verb.INSERT)),
    ("GET", "_api/gharial/{g}/vertex/{c}/{k}", _graph_read("gharial.vertex_read")),
    ("PUT", "_api/gharial/{g}/vertex/{c}/{k}", _graph_write("gharial.vertex_replace", verb=Verb.REPLACE)),
    ("PATCH", "_api/gharial/{g}/vertex/{c}/{k}", _graph_write("gharial.vertex_update", verb=Verb.UPDATE)),
    ("DELETE", "_api/gharial/{g}/vertex/{c}/{k}", _graph_write("gharial.vertex_remove", verb=Verb.REMOVE)),
    ("GET", "_api/gharial/{g}/edge", _graph("gharial.edge_collections")),
    ("POST", "_api/gharial/{g}/edge", _graph_change("gharial.add_edge_definition")),
    ("PUT", "_api/gharial/{g}/edge/{c}", _graph_change("gharial.replace_edge_definition", verb=Verb.REPLACE)),
    ("DELETE", "_api/gharial/{g}/edge/{c}", _graph_change("gharial.remove_edge_definition")),
    ("POST", "_api/gharial/{g}/edge/{c}", _graph_write("gharial.edge_insert", verb=Verb.INSERT)),
    ("GET", "_api/gharial/{g}/edge/{c}/{k}", _graph_read("gharial.edge_read")),
    ("PUT", "_api/gharial/{g}/edge/{c}/{k}", _graph_write("gharial.edge_replace", verb=Verb.REPLACE)),
    ("PATCH", "_api/gharial/{g}/edge/{c}/{k}", _graph_write("gharial.edge_update", verb=Verb.UPDATE)),
    ("DELETE", "_api/gharial/{g}/edge/{c}/{k}", _graph_write("gharial.edge_remove", verb=Verb.REMOVE)),
    # simple queries
    ("PUT", "_api/simple/all", _simple("simple.all", read=Read.QUERY_LIKE, needs_user=True)),
    ("PUT", "_api/simple/all-keys", _simple("simple.all-keys", read=Read.QUERY_LIKE, needs_user=True)),
    ("PUT", "_api/simple/any", _simple("simple.any", read=Read.QUERY_LIKE)),
    ("PUT", "_api/simple/by-example", _simple("simple.by-example", read=Read.QUERY_LIKE, needs_user=True)),
    ("PUT", "_api/simple/first-example", _simple("simple.first-example", read=Read.QUERY_LIKE, no_match=True)),
    ("PUT", "_api/simple/lookup-by-keys", _simple("simple.lookup-by-keys", read=Read.QUERY_LIKE)),
    ("PUT", "_api/simple/range", _simple("simple.range", read=Read.QUERY_LIKE, needs_user=True, needs_index=True)),
    ("PUT", "_api/simple/first", _simple("simple.first", read=Read.UNCOMPARED)),
    ("PUT", "_api/simple/last", _simple("simple.last", read=Read.UNCOMPARED)),
    ("PUT", "_api/simple/near", _simple("simple.near", read=Read.UNCOMPARED)),
    ("PUT", "_api/simple/within", _simple("simple.within", read=Read.UNCOMPARED)),
    ("PUT", "_api/simple/within-rectangle", _simple("simple.within-rectangle", read=Read.UNCOMPARED)),
    ("PUT", "_api/simple/fulltext", _simple("simple.fulltext", read=Read.UNCOMPARED)),
    (
        "PUT",
        "_api/simple/remove-by-keys",
        _simple_write("simple.remove-by-keys", verb=Verb.REMOVE, capture="removals_by_keys"),
    ),
    (
        "PUT",
        "_api/simple/remove-by-example",
        _simple_write("simple.remove-by-example", verb=Verb.REMOVE, capture="removals_by_example"),
    ),
    (
        "PUT",
        "_api/simple/replace-by-example",
        _simple_write("simple.replace-by-example", verb=Verb.REPLACE, capture="changes_by_example"),
    ),
    (
        "PUT",
        "_api/simple/update-by-example",
        _simple_write("simple.update-by-example", verb=Verb.UPDATE, capture="changes_by_example"),
    ),
    # users
    ("POST", "_open/auth", _user("auth.open")),
    ("POST", "_open/auth/renew", _user("auth.renew", needs_user=True)),
    ("GET", "_api/user", _user("user.list", needs_user=True)),
    ("POST", "_api/user", _rights("user.create")),
    ("GET", "_api/user/{u}", _user("user.read")),
    ("POST", "_api/user/{u}", _user("user.prove")),
    ("PUT", "_api/user/{u}", _rights("user.replace")),
    ("PATCH", "_api/user/{u}", _rights("user.update")),
    ("DELETE", "_api/user/{u}", _rights("user.remove")),
    ("ANY", "_api/user/{u}/*", _rights("user.permission")),
    ("ANY", "_api/token/*", _rights("token")),
    # the server
    ("GET", "_api/version _admin/version", _server("version")),
    ("GET", "_api/engine", _server("engine")),
    ("GET", "_api/engine/stats", _server("engine.stats")),
    ("ANY", "_api/job/*", Endpoint("job", PASS, Family.JOB)),
    ("GET", "_api/wal/range", _replication("wal.range")),
    ("GET", "_api/wal/lastTick", _replication("wal.last_tick")),
    ("GET PUT", "_api/wal/tail", _replication("wal.tail")),
    ("ANY", "_api/replication/batch/*", _replication("replication.batch")),
    ("GET", "_api/replication/*", _replication("replication")),
    ("PUT", "_api/replication/revisions/*", _replication("replication.revisions")),
    ("ANY", "_api/dump/*", _replication("dump")),
    ("GET", "_api/view/*", _view("view.read", effect=PASS)),
    ("POST", "_api/view", _view("view.create")),
    ("PUT PATCH", "_api/view/*", _view("view.change")),
    ("DELETE", "_api/view/{v}", _view("view.drop")),
    ("ANY", "_api/analyzer/*", _server("analyzer")),
    ("GET", "_api/cluster/endpoints _api/endpoint", _server("cluster.endpoints")),
    ("GET", "_api/key-generators", _server("key_generators")),
    ("GET", "_admin/status", _server("admin.status")),
    ("GET", "_admin/time", _server("admin.time")),
    ("GET", "_admin/server/role", _server("admin.role")),
    ("GET", "_admin/server/availability", _server("admin.availability")),
    ("GET", "_admin/server/id", _server("admin.id")),
    ("GET PUT", "_admin/server/mode", _server("admin.mode")),
    ("GET", "_admin/server/aql-queries", _aql("query.history")),
    ("GET", "_admin/statistics", _server("admin.statistics")),
    ("GET", "_admin/statistics-description", _server("admin.statistics_description")),
    ("GET", "_admin/license", _server("admin.license")),
    ("GET", "_admin/options _admin/options-description", _server("admin.options")),
    ("GET", "_admin/support-info", _server("admin.support_info")),
    ("ANY", "_admin/wal/*", _server("admin.wal")),
    ("GET", "_admin/database/target-version", _server("admin.target_version")),
    ("GET POST", "_admin/server/tls", _server("admin.tls")),
    ("GET POST", "_admin/server/jwt", _server("admin.jwt")),
    ("GET", "_admin/metrics/* _admin/usage-metrics", _server("admin.metrics")),
    ("ANY", "_admin/log/*", _server("admin.log")),
    ("GET", "_admin/server/api-calls", _server("admin.calls")),
    ("GET", "_admin/deployment/id", _server("admin.deployment")),
    ("PUT", "_admin/compact", _server("admin.compact")),
    ("POST", "_admin/routing/reload", _server("admin.routing")),
    ("GET POST PUT", "_admin/echo", _server("admin.echo")),
    (  # but for `restore`, which replaces documents
        "POST",
        "_admin/backup/create _admin/backup/list _admin/backup/delete _admin/backup/upload _admin/backup/download",
        _server("admin.backup"),
    ),
    ("GET", "_api/foxx/*", _foxx(PASS, refusal=Refusal.INSTALLATION)),
    (
        "POST PUT PATCH DELETE",
        "_api/foxx/*",
        _foxx(OPAQUE, write_route=WriteRoute.UNCAPTURED, refusal=Refusal.INSTALLATION),
    ),
)


class EndpointRow(NamedTuple):
    """One method and one pattern of an endpoint. parameter: it is that endpoint only with this in the query string."""

    method: str
    pattern: str
    parameter: str
    endpoint: Endpoint


def _expand() -> Iterator[EndpointRow]:
    for methods, patterns, endpoint in _TABLE:
        paths = [pattern.partition("?")[::2] for pattern in patterns.split()]
        place = max(path.split("/").index("{c}") if "{c}" in path else -1 for path, _ in paths)
        placed = dataclasses.replace(endpoint, collection_at=place)
        for method in methods.split():
            for path, parameter in paths:
                yield EndpointRow(method, path, parameter, placed)


ROWS: Final = tuple(_expand())

# what the table does not know: it may write unless its method says that it does not
UNKNOWN: Final = Endpoint("unknown", OPAQUE, Family.UNKNOWN, write_route=WriteRoute.UNCAPTURED, refusal=Refusal.UNKNOWN)
UNKNOWN_SAFE: Final = dataclasses.replace(UNKNOWN, effect=PASS, write_route=WriteRoute.NONE)
# a path of a database that does not begin with `_` is one of a Foxx service, whose GETs may write as well
SERVICE: Final = _foxx(OPAQUE, write_route=WriteRoute.UNCAPTURED, refusal=Refusal.SERVICE)

_NAMED: Final[dict[str, Endpoint]] = {}
for _endpoint in (UNKNOWN, *(row.endpoint for row in ROWS)):
    if _NAMED.setdefault(_endpoint.name, _endpoint).write_route is WriteRoute.NONE:
        _NAMED[_endpoint.name] = _endpoint


def named(name: str) -> Endpoint:
    """Return the endpoint of that name, to make an Operation; of several, one that may write. Raise KeyError."""
    return _NAMED[name]
