"""The table of commands: for each endpoint its handler, who may use it, and what its answers have in common.

Endpoints are rows of `proxy.wire.endpoints`. An endpoint without a row here is answered with 501 and its name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from proxy.devserver.store import access
from proxy.devserver.store.handlers import (
    admin,
    analyzers,
    collections,
    cursors,
    databases,
    documents,
    explain,
    graph_documents,
    graphs,
    imports,
    indexes,
    jobs,
    query_tracking,
    replication,
    simple,
    transactions,
    unsupported,
    users,
    wal,
)
from proxy.devserver.store.state.server import Server
from proxy.model.operations import Operation, Outcome

Handler = Callable[[Server, Operation], Outcome]


@dataclass(frozen=True, slots=True)
class Command:
    """The handler of one endpoint, and its conditions.

    access: the rule that is checked first if the server limits access. dirty_read: the answer says that it may be a
    dirty read, if the client allows one. shows_conflict: a conflict of a single document is answered with its revision.
    """

    run: Handler
    access: access.Rule = access.database_read
    dirty_read: bool = False
    shows_conflict: bool = False


COMMANDS: Final[dict[str, Command]] = {
    # documents
    "document.read": Command(documents.read, dirty_read=True, shows_conflict=True),
    "document.head": Command(documents.read, dirty_read=True, shows_conflict=True),
    "document.read_many": Command(documents.read_many, dirty_read=True, shows_conflict=True),
    "document.insert": Command(documents.insert, shows_conflict=True),
    "document.replace": Command(documents.change, shows_conflict=True),
    "document.update": Command(documents.change, shows_conflict=True),
    "document.replace_many": Command(documents.change, shows_conflict=True),
    "document.update_many": Command(documents.change, shows_conflict=True),
    "document.remove": Command(documents.remove, shows_conflict=True),
    "document.remove_many": Command(documents.remove, shows_conflict=True),
    # cursors
    "cursor.create": Command(cursors.create, dirty_read=True),
    "cursor.next": Command(cursors.proceed),
    "cursor.delete": Command(cursors.delete),
    # explain
    "query.parse": Command(explain.parse_query),
    "explain": Command(explain.explain),
    # query_tracking
    "query.current": Command(query_tracking.current),
    "query.slow": Command(query_tracking.slow),
    "query.rules": Command(query_tracking.rules),
    "query.history": Command(query_tracking.history),
    "admin.calls": Command(query_tracking.calls),
    "query.clear_slow": Command(query_tracking.clear),
    "query.kill": Command(query_tracking.kill),
    "query.properties": Command(query_tracking.properties),
    "query.set_properties": Command(query_tracking.properties),
    "query.cache": Command(query_tracking.cache),
    "query.plan_cache": Command(query_tracking.plans),
    # collections
    "collection.list": Command(collections.list_all),
    "collection.create": Command(collections.create, access.database_write),
    "collection.read": Command(collections.read, access.collection_read),
    "collection.properties": Command(collections.properties, access.collection_read),
    "collection.set_properties": Command(collections.set_properties, access.collection_change),
    "collection.count": Command(collections.count),
    "collection.figures": Command(collections.figures, access.collection_read),
    "collection.revision": Command(collections.revision, access.collection_read),
    "collection.checksum": Command(collections.checksum, access.collection_read),
    "collection.truncate": Command(collections.truncate),
    "collection.rename": Command(collections.rename, access.collection_change),
    "collection.drop": Command(collections.drop, access.collection_change),
    "collection.load": Command(collections.load, access.collection_read),
    "collection.unload": Command(collections.load, access.collection_read),
    "collection.load_indexes": Command(collections.maintain, access.collection_read),
    "collection.recalculate": Command(collections.maintain, access.collection_read),
    "collection.compact": Command(collections.compact, access.collection_read),
    "collection.shards": Command(collections.shards, access.collection_read),
    "collection.responsible_shard": Command(collections.shards, access.collection_read),
    # databases
    "database.list": Command(databases.list_all),
    "database.user": Command(databases.list_accessible),
    "database.current": Command(databases.current),
    "database.create": Command(databases.create, access.database_change),
    "database.drop": Command(databases.drop, access.database_change),
    # indexes
    "index.list": Command(indexes.list_indexes, access.collection_read),
    "index.create": Command(indexes.create_index, access.index_create),
    "index.read": Command(indexes.read_index, access.collection_read),
    "index.drop": Command(indexes.drop_index, access.collection_change),
    "index.selectivity": Command(indexes.selectivity, access.collection_read),
    # transactions
    "transaction.begin": Command(transactions.begin),
    "transaction.status": Command(transactions.status),
    "transaction.commit": Command(transactions.commit),
    "transaction.abort": Command(transactions.abort),
    "transaction.list": Command(transactions.list_running),
    # imports
    "import": Command(imports.run),
    # graphs
    "gharial.list": Command(graphs.list_all),
    "gharial.create": Command(graphs.create, access.database_write),
    "gharial.read": Command(graphs.read),
    "gharial.drop": Command(graphs.drop, access.database_write),
    "gharial.vertex_collections": Command(graphs.vertex_collections),
    "gharial.edge_collections": Command(graphs.edge_collections),
    "gharial.add_vertex_collection": Command(graphs.add_vertex_collection, access.database_write),
    "gharial.remove_vertex_collection": Command(graphs.remove_vertex_collection, access.database_write),
    "gharial.add_edge_definition": Command(graphs.add_edge_definition, access.database_write),
    "gharial.replace_edge_definition": Command(graphs.replace_edge_definition, access.database_write),
    "gharial.remove_edge_definition": Command(graphs.remove_edge_definition, access.database_write),
    # graph_documents
    "gharial.vertex_insert": Command(graph_documents.insert),
    "gharial.vertex_read": Command(graph_documents.read),
    "gharial.vertex_replace": Command(graph_documents.change),
    "gharial.vertex_update": Command(graph_documents.change),
    "gharial.vertex_remove": Command(graph_documents.remove),
    "gharial.edge_insert": Command(graph_documents.insert),
    "gharial.edge_read": Command(graph_documents.read),
    "gharial.edge_replace": Command(graph_documents.change),
    "gharial.edge_update": Command(graph_documents.change),
    "gharial.edge_remove": Command(graph_documents.remove),
    # simple
    "edges.read": Command(simple.edges),
    "edges.read_many": Command(simple.edges),
    "simple.all": Command(simple.all_documents),
    "simple.all-keys": Command(simple.all_keys),
    "simple.any": Command(simple.any_document),
    "simple.by-example": Command(simple.by_example),
    "simple.range": Command(simple.by_range),
    "simple.first-example": Command(simple.first_example),
    "simple.lookup-by-keys": Command(simple.lookup_by_keys),
    "simple.remove-by-keys": Command(simple.remove_by_keys),
    "simple.remove-by-example": Command(simple.remove_by_example),
    "simple.replace-by-example": Command(simple.replace_by_example),
    "simple.update-by-example": Command(simple.update_by_example),
    # jobs
    "job": Command(jobs.job),
    # wal
    "wal.last_tick": Command(wal.last_tick, access.administrator),
    "wal.range": Command(wal.range_, access.administrator),
    "wal.tail": Command(wal.tail, access.administrator),
    # replication
    "replication.batch": Command(replication.batch),
    "replication": Command(replication.replication, access.collection_read),
    "dump": Command(replication.dump),
    # users
    "auth.open": Command(users.authenticate, access.anyone),
    "auth.renew": Command(users.renew, access.anyone),
    "user.list": Command(users.list_all, access.authenticated),
    "user.create": Command(users.create, access.authenticated),
    "user.prove": Command(users.prove, access.authenticated),
    "user.read": Command(users.read, access.authenticated),
    "user.replace": Command(users.replace, access.authenticated),
    "user.update": Command(users.update, access.authenticated),
    "user.remove": Command(users.remove, access.authenticated),
    "user.permission": Command(users.below, access.authenticated),
    "token": Command(users.tokens, access.authenticated),
    # analyzers
    "analyzer": Command(analyzers.analyzers),
    # admin
    "version": Command(admin.version),
    "engine": Command(admin.engine),
    "engine.stats": Command(admin.engine_statistics),
    "key_generators": Command(admin.key_generators),
    "admin.statistics": Command(admin.statistics),
    "admin.statistics_description": Command(admin.statistics_described),
    "admin.license": Command(admin.license_of),
    "admin.options": Command(admin.options),
    "admin.support_info": Command(admin.support_info),
    "admin.wal": Command(admin.wal),
    "admin.tls": Command(admin.tls),
    "admin.jwt": Command(admin.jwt),
    "admin.target_version": Command(admin.target_version),
    "admin.log": Command(admin.log, access.administrator),
    "admin.deployment": Command(admin.deployment),
    "admin.compact": Command(admin.compact, access.database_write),
    "admin.routing": Command(admin.routing),
    "admin.echo": Command(admin.echo),
    "admin.status": Command(admin.status),
    "admin.time": Command(admin.clock),
    "admin.role": Command(admin.role),
    "admin.availability": Command(admin.availability, access.anyone),
    "admin.mode": Command(admin.mode),
    "admin.id": Command(admin.identity),
    "admin.metrics": Command(admin.metrics),
    "cluster.endpoints": Command(admin.endpoints, access.authenticated),
    # unsupported
    "transaction.js": Command(unsupported.refused("JavaScript transactions")),
    "view.create": Command(unsupported.refused("views"), access.database_write),
    "simple.near": Command(unsupported.refused("geo queries")),
    "simple.within": Command(unsupported.refused("geo queries")),
    "simple.within-rectangle": Command(unsupported.refused("geo queries")),
    "simple.fulltext": Command(unsupported.refused("fulltext queries")),
    "replication.revisions": Command(unsupported.refused("trees of revisions")),
    "batch": Command(unsupported.gone),
    "simple.first": Command(unsupported.gone),
    "simple.last": Command(unsupported.gone),
    "admin.execute": Command(unsupported.gone, access.administrator),
    "view.read": Command(unsupported.views),
    "view.change": Command(unsupported.no_view, access.database_write),
    "view.drop": Command(unsupported.no_view, access.database_write),
    "task": Command(unsupported.tasks),
    "foxx": Command(unsupported.services),
    "query.function": Command(unsupported.functions, access.database_write),
}
