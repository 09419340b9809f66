"""The endpoints of ArangoDB's HTTP API: one row each. A row says what a path and a method mean; nothing else does.

Rows are compiled into a tree of path segments, so that finding one costs a dictionary look-up a segment. `{…}` in a
pattern stands for one segment, a last `*` for any number of them; `{c}` is a collection, `{k}` a document's key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from proxy.model.operations import Effect

READ, WRITE, QUERY = Effect.READ, Effect.WRITE, Effect.QUERY
CONTROL, OPAQUE, PASS = Effect.CONTROL, Effect.OPAQUE, Effect.PASSTHROUGH


@dataclass(frozen=True, slots=True)
class Endpoint:
    """collection, key: indexes of the segments (behind `/_db/{db}`) that name them; -1 where none does.

    fixed: the path names no more than a collection, so that the same targets come again and again.
    """

    endpoint: str
    effect: Effect
    collection: int = -1
    key: int = -1
    fixed: bool = True


@dataclass(slots=True)
class Node:
    """One place in the tree of paths."""

    children: dict[str, Node] = field(default_factory=dict)
    variable: Node | None = None
    methods: dict[str, Endpoint] = field(default_factory=dict)
    # rows of a pattern that ends in `*`
    rest: dict[str, Endpoint] = field(default_factory=dict)


# (method, pattern, endpoint, effect). ANY stands for every method.
_ROWS: Final[Sequence[tuple[str, str, str, Effect]]] = (
    # documents; `read_many` is `replace_many` with ?onlyget, which `decode` looks at
    ("GET", "_api/document/{c}/{k}", "document.read", READ),
    ("HEAD", "_api/document/{c}/{k}", "document.head", READ),
    ("POST", "_api/document", "document.insert", WRITE),
    ("POST", "_api/document/{c}", "document.insert", WRITE),
    ("PUT", "_api/document/{c}/{k}", "document.replace", WRITE),
    ("PATCH", "_api/document/{c}/{k}", "document.update", WRITE),
    ("DELETE", "_api/document/{c}/{k}", "document.remove", WRITE),
    ("PUT", "_api/document", "document.replace_many", WRITE),
    ("PUT", "_api/document/{c}", "document.replace_many", WRITE),
    ("PATCH", "_api/document", "document.update_many", WRITE),
    ("PATCH", "_api/document/{c}", "document.update_many", WRITE),
    ("DELETE", "_api/document/{c}", "document.remove_many", WRITE),
    # cursors and queries
    ("POST", "_api/cursor", "cursor.create", QUERY),
    ("POST", "_api/cursor/{id}", "cursor.next", PASS),
    ("POST", "_api/cursor/{id}/{batch}", "cursor.next", PASS),
    ("PUT", "_api/cursor/{id}", "cursor.next", PASS),
    ("DELETE", "_api/cursor/{id}", "cursor.delete", PASS),
    ("POST", "_api/explain", "explain", PASS),
    ("POST", "_api/query", "query.parse", PASS),
    ("GET", "_api/query/current", "query.current", PASS),
    ("GET", "_api/query/slow", "query.slow", PASS),
    ("DELETE", "_api/query/slow", "query.clear_slow", PASS),
    ("GET", "_api/query/properties", "query.properties", PASS),
    ("PUT", "_api/query/properties", "query.set_properties", PASS),
    ("GET", "_api/query/rules", "query.rules", PASS),
    ("DELETE", "_api/query/{id}", "query.kill", PASS),
    ("ANY", "_api/query-cache/*", "query.cache", PASS),
    ("ANY", "_api/query-plan-cache/*", "query.plan_cache", PASS),
    ("ANY", "_api/aqlfunction/*", "query.function", PASS),
    # collections
    ("GET", "_api/collection", "collection.list", PASS),
    ("POST", "_api/collection", "collection.create", CONTROL),
    ("GET", "_api/collection/{c}", "collection.read", PASS),
    ("DELETE", "_api/collection/{c}", "collection.drop", CONTROL),
    ("GET", "_api/collection/{c}/properties", "collection.properties", PASS),
    ("PUT", "_api/collection/{c}/properties", "collection.set_properties", CONTROL),
    ("GET", "_api/collection/{c}/count", "collection.count", PASS),
    ("GET", "_api/collection/{c}/figures", "collection.figures", PASS),
    ("GET", "_api/collection/{c}/revision", "collection.revision", PASS),
    ("GET", "_api/collection/{c}/checksum", "collection.checksum", PASS),
    ("GET", "_api/collection/{c}/shards", "collection.shards", PASS),
    ("PUT", "_api/collection/{c}/truncate", "collection.truncate", CONTROL),
    ("PUT", "_api/collection/{c}/rename", "collection.rename", CONTROL),
    ("PUT", "_api/collection/{c}/load", "collection.load", PASS),
    ("PUT", "_api/collection/{c}/unload", "collection.unload", PASS),
    ("PUT", "_api/collection/{c}/loadIndexesIntoMemory", "collection.load_indexes", PASS),
    ("PUT", "_api/collection/{c}/recalculateCount", "collection.recalculate", PASS),
    ("PUT", "_api/collection/{c}/compact", "collection.compact", PASS),
    ("PUT", "_api/collection/{c}/responsibleShard", "collection.responsible_shard", PASS),
    ("GET", "_api/index", "index.list", PASS),
    ("POST", "_api/index", "index.create", CONTROL),
    ("GET", "_api/index/{c}/{i}", "index.read", PASS),
    ("DELETE", "_api/index/{c}/{i}", "index.drop", CONTROL),
    ("ANY", "_api/index/selectivity/*", "index.selectivity", PASS),
    # databases
    ("GET", "_api/database", "database.list", PASS),
    ("GET", "_api/database/user", "database.user", PASS),
    ("GET", "_api/database/current", "database.current", PASS),
    ("POST", "_api/database", "database.create", CONTROL),
    ("DELETE", "_api/database/{d}", "database.drop", CONTROL),
    # writes that are not captured by key
    ("POST", "_api/import", "import", OPAQUE),
    ("POST", "_api/batch", "batch", OPAQUE),
    ("PUT", "_api/batch", "batch", OPAQUE),
    ("POST", "_api/tasks/*", "task", OPAQUE),
    ("PUT", "_api/tasks/*", "task", OPAQUE),
    ("DELETE", "_api/tasks/*", "task", PASS),
    ("GET", "_api/tasks/*", "task", PASS),
    ("POST", "_admin/execute", "admin.execute", OPAQUE),
    # transactions
    ("POST", "_api/transaction", "transaction.js", OPAQUE),
    ("POST", "_api/transaction/begin", "transaction.begin", OPAQUE),
    ("GET", "_api/transaction", "transaction.list", PASS),
    ("GET", "_api/transaction/{id}", "transaction.status", PASS),
    ("PUT", "_api/transaction/{id}", "transaction.commit", OPAQUE),
    ("DELETE", "_api/transaction/{id}", "transaction.abort", PASS),
    # graphs and edges
    ("GET", "_api/edges/{c}", "edges.read", PASS),
    ("POST", "_api/edges/{c}", "edges.read_many", PASS),
    ("GET", "_api/gharial", "gharial.list", PASS),
    ("POST", "_api/gharial", "gharial.create", OPAQUE),
    ("GET", "_api/gharial/{g}", "gharial.read", PASS),
    ("DELETE", "_api/gharial/{g}", "gharial.drop", OPAQUE),
    ("GET", "_api/gharial/{g}/vertex", "gharial.vertex_collections", PASS),
    ("POST", "_api/gharial/{g}/vertex", "gharial.add_vertex_collection", OPAQUE),
    ("DELETE", "_api/gharial/{g}/vertex/{c}", "gharial.remove_vertex_collection", OPAQUE),
    ("POST", "_api/gharial/{g}/vertex/{c}", "gharial.vertex_insert", OPAQUE),
    ("GET", "_api/gharial/{g}/vertex/{c}/{k}", "gharial.vertex_read", PASS),
    ("PUT", "_api/gharial/{g}/vertex/{c}/{k}", "gharial.vertex_replace", OPAQUE),
    ("PATCH", "_api/gharial/{g}/vertex/{c}/{k}", "gharial.vertex_update", OPAQUE),
    ("DELETE", "_api/gharial/{g}/vertex/{c}/{k}", "gharial.vertex_remove", OPAQUE),
    ("GET", "_api/gharial/{g}/edge", "gharial.edge_collections", PASS),
    ("POST", "_api/gharial/{g}/edge", "gharial.add_edge_definition", OPAQUE),
    ("PUT", "_api/gharial/{g}/edge/{c}", "gharial.replace_edge_definition", OPAQUE),
    ("DELETE", "_api/gharial/{g}/edge/{c}", "gharial.remove_edge_definition", OPAQUE),
    ("POST", "_api/gharial/{g}/edge/{c}", "gharial.edge_insert", OPAQUE),
    ("GET", "_api/gharial/{g}/edge/{c}/{k}", "gharial.edge_read", PASS),
    ("PUT", "_api/gharial/{g}/edge/{c}/{k}", "gharial.edge_replace", OPAQUE),
    ("PATCH", "_api/gharial/{g}/edge/{c}/{k}", "gharial.edge_update", OPAQUE),
    ("DELETE", "_api/gharial/{g}/edge/{c}/{k}", "gharial.edge_remove", OPAQUE),
    # simple queries: the collection stands in the body
    *(
        ("PUT", f"_api/simple/{name}", f"simple.{name}", PASS)
        for name in (
            *("all", "all-keys", "any", "by-example", "first-example", "first", "last", "lookup-by-keys"),
            *("range", "near", "within", "within-rectangle", "fulltext"),
        )
    ),
    *(
        ("PUT", f"_api/simple/{name}", f"simple.{name}", OPAQUE)
        for name in ("remove-by-example", "replace-by-example", "update-by-example", "remove-by-keys")
    ),
    # the server
    ("GET", "_api/version", "version", PASS),
    ("GET", "_admin/version", "version", PASS),
    ("GET", "_api/engine", "engine", PASS),
    ("GET", "_api/engine/stats", "engine.stats", PASS),
    ("POST", "_open/auth", "auth.open", PASS),
    ("POST", "_open/auth/renew", "auth.renew", PASS),
    ("GET", "_api/user", "user.list", PASS),
    ("POST", "_api/user", "user.create", PASS),
    ("GET", "_api/user/{u}", "user.read", PASS),
    ("POST", "_api/user/{u}", "user.prove", PASS),
    ("PUT", "_api/user/{u}", "user.replace", PASS),
    ("PATCH", "_api/user/{u}", "user.update", PASS),
    ("DELETE", "_api/user/{u}", "user.remove", PASS),
    ("ANY", "_api/user/{u}/*", "user.permission", PASS),
    ("ANY", "_api/token/*", "token", PASS),
    ("ANY", "_api/job/*", "job", PASS),
    ("GET", "_api/wal/range", "wal.range", PASS),
    ("GET", "_api/wal/lastTick", "wal.last_tick", PASS),
    ("GET", "_api/wal/tail", "wal.tail", PASS),
    ("PUT", "_api/wal/tail", "wal.tail", PASS),
    ("ANY", "_api/replication/batch/*", "replication.batch", PASS),
    ("GET", "_api/replication/*", "replication", PASS),
    ("PUT", "_api/replication/revisions/*", "replication.revisions", PASS),
    ("ANY", "_api/dump/*", "dump", PASS),
    ("GET", "_api/view/*", "view.read", PASS),
    ("POST", "_api/view", "view.create", CONTROL),
    ("PUT", "_api/view/*", "view.change", CONTROL),
    ("PATCH", "_api/view/*", "view.change", CONTROL),
    ("DELETE", "_api/view/{v}", "view.drop", CONTROL),
    ("ANY", "_api/analyzer/*", "analyzer", PASS),
    ("GET", "_api/cluster/endpoints", "cluster.endpoints", PASS),
    ("GET", "_api/endpoint", "cluster.endpoints", PASS),
    ("GET", "_api/key-generators", "key_generators", PASS),
    ("GET", "_admin/status", "admin.status", PASS),
    ("GET", "_admin/time", "admin.time", PASS),
    ("GET", "_admin/server/role", "admin.role", PASS),
    ("GET", "_admin/server/availability", "admin.availability", PASS),
    ("GET", "_admin/server/id", "admin.id", PASS),
    ("GET", "_admin/server/mode", "admin.mode", PASS),
    ("PUT", "_admin/server/mode", "admin.mode", PASS),
    ("GET", "_admin/server/aql-queries", "query.history", PASS),
    ("GET", "_admin/statistics", "admin.statistics", PASS),
    ("GET", "_admin/statistics-description", "admin.statistics_description", PASS),
    ("GET", "_admin/license", "admin.license", PASS),
    ("GET", "_admin/options", "admin.options", PASS),
    ("GET", "_admin/options-description", "admin.options", PASS),
    ("GET", "_admin/support-info", "admin.support_info", PASS),
    ("ANY", "_admin/wal/*", "admin.wal", PASS),
    ("GET", "_admin/database/target-version", "admin.target_version", PASS),
    ("GET", "_admin/server/tls", "admin.tls", PASS),
    ("POST", "_admin/server/tls", "admin.tls", PASS),
    ("GET", "_admin/server/jwt", "admin.jwt", PASS),
    ("POST", "_admin/server/jwt", "admin.jwt", PASS),
    ("GET", "_admin/metrics/*", "admin.metrics", PASS),
    ("ANY", "_admin/log/*", "admin.log", PASS),
    ("GET", "_admin/server/api-calls", "admin.calls", PASS),
    ("GET", "_admin/deployment/id", "admin.deployment", PASS),
    ("PUT", "_admin/compact", "admin.compact", PASS),
    ("POST", "_admin/routing/reload", "admin.routing", PASS),
    *((method, "_admin/echo", "admin.echo", PASS) for method in ("GET", "POST", "PUT")),
    ("GET", "_api/foxx/*", "foxx", PASS),
    *((method, "_api/foxx/*", "foxx", OPAQUE) for method in ("POST", "PUT", "PATCH", "DELETE")),
)

ROOT: Final = Node()
METHODS: Final = b"DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"  # what ArangoDB tells whoever asks by OPTIONS
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
# what the table does not know: it may write unless its method says that it does not
UNKNOWN_SAFE: Final = Endpoint("unknown", PASS, fixed=False)
UNKNOWN: Final = Endpoint("unknown", OPAQUE, fixed=False)
# a path of a database that is no `_…` path is one of a Foxx service, whose GETs may write as well
FOXX: Final = Endpoint("foxx", OPAQUE, fixed=False)


def endpoints() -> set[tuple[str, str]]:
    """Every (endpoint, method) that the table knows; ANY stands for every method."""
    return {(endpoint, method) for method, _, endpoint, _ in _ROWS}


def knows_path(segments: Sequence[str]) -> bool:
    """Whether some method is answered there."""
    node = ROOT
    for segment in segments:
        following = node.children.get(segment) or node.variable
        if following is None:
            return False
        node = following
    return bool(node.methods or node.rest)


def unknown(method: str) -> Endpoint:
    """The row for what the table does not know."""
    return UNKNOWN_SAFE if method in _SAFE else UNKNOWN


def find(method: str, segments: Sequence[str]) -> Endpoint:
    """The row of a method and decoded path segments (behind `/_db/{db}`). Never fails: see `unknown`."""
    node = ROOT
    rest: dict[str, Endpoint] = {}
    for segment in segments:
        if node.rest:
            rest = node.rest
        following = node.children.get(segment) or node.variable
        if following is None:
            break
        node = following
    else:
        row = node.methods.get(method)
        if row is not None:
            return row
        rest = node.rest or rest
    row = rest.get(method) or rest.get("ANY")
    if row is not None:
        return row
    if segments and segments[0][:1] != "_":
        return FOXX
    return unknown(method)


def _compile() -> None:
    for method, pattern, endpoint, effect in _ROWS:
        segments = pattern.split("/")
        places = {name: index for index, name in enumerate(segments)}
        key = places.get("{k}", -1)
        fixed = "*" not in pattern and not any(name[0] == "{" and name != "{c}" for name in segments)
        row = Endpoint(endpoint, effect, places.get("{c}", -1), key, fixed=fixed)
        node = ROOT
        for segment in segments:
            if segment == "*":
                break
            if segment[0] == "{":
                node.variable = node.variable or Node()
                node = node.variable
            else:
                node = node.children.setdefault(segment, Node())
        (node.rest if segments[-1] == "*" else node.methods)[method] = row


_compile()
