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
from proxy.devserver.store.state.server import ServerState
from proxy.model.operations import Operation, Outcome

Handler = Callable[[ServerState, Operation], Outcome]


@dataclass(frozen=True, slots=True)
class EndpointCommand:
    """The handler of one endpoint, and its conditions.

    access: the rule that is checked first if the server limits access. dirty_read: the answer says that it may be a
    dirty read, if the client allows one. shows_conflict: a conflict of a single document is answered with its revision.
    changes_accounts: it may change users, their rights or the server's mode. counts: it needs the number of documents
    of the collection that it names, and nothing else of them.
    """

    run: Handler
    access: access.Rule = access.database_read
    dirty_read: bool = False
    shows_conflict: bool = False
    changes_accounts: bool = False
    counts: bool = False


COMMANDS: Final[dict[str, EndpointCommand]] = {
    # documents
    "document.read": EndpointCommand(documents.read, dirty_read=True, shows_conflict=True),
    "document.head": EndpointCommand(documents.read, dirty_read=True, shows_conflict=True),
    "document.read_many": EndpointCommand(documents.read_many, dirty_read=True, shows_conflict=True),
    "document.insert": EndpointCommand(documents.insert, shows_conflict=True),
    "document.replace": EndpointCommand(documents.change, shows_conflict=True),
    "document.update": EndpointCommand(documents.change, shows_conflict=True),
    "document.replace_many": EndpointCommand(documents.change, shows_conflict=True),
    "document.update_many": EndpointCommand(documents.change, shows_conflict=True),
    "document.remove": EndpointCommand(documents.remove, shows_conflict=True),
    "document.remove_many": EndpointCommand(documents.remove, shows_conflict=True),
    # cursors
    "cursor.create": EndpointCommand(cursors.create, dirty_read=True),
    "cursor.next": EndpointCommand(cursors.proceed),
    "cursor.delete": EndpointCommand(cursors.delete),
    # explain
    "query.parse": EndpointCommand(explain.parse_query),
    "explain": EndpointCommand(explain.explain),
    # query_tracking
    "query.current": EndpointCommand(query_tracking.current),
    "query.slow": EndpointCommand(query_tracking.slow),
    "query.rules": EndpointCommand(query_tracking.rules),
    "query.history": EndpointCommand(query_tracking.history),
    "admin.calls": EndpointCommand(query_tracking.calls),
    "query.clear_slow": EndpointCommand(query_tracking.clear),
    "query.kill": EndpointCommand(query_tracking.kill),
    "query.properties": EndpointCommand(query_tracking.properties),
    "query.set_properties": EndpointCommand(query_tracking.properties),
    "query.cache": EndpointCommand(query_tracking.cache),
    "query.plan_cache": EndpointCommand(query_tracking.plans),
    # collections
    "collection.list": EndpointCommand(collections.list_all),
    "collection.create": EndpointCommand(collections.create, access.database_write),
    "collection.read": EndpointCommand(collections.read, access.collection_read),
    "collection.properties": EndpointCommand(collections.properties, access.collection_read),
    "collection.set_properties": EndpointCommand(collections.set_properties, access.collection_change),
    "collection.count": EndpointCommand(collections.count, counts=True),
    "collection.figures": EndpointCommand(collections.figures, access.collection_read),
    "collection.revision": EndpointCommand(collections.revision, access.collection_read),
    "collection.checksum": EndpointCommand(collections.checksum, access.collection_read),
    "collection.truncate": EndpointCommand(collections.truncate),
    "collection.rename": EndpointCommand(collections.rename, access.collection_change),
    "collection.drop": EndpointCommand(collections.drop, access.collection_change),
    "collection.load": EndpointCommand(collections.load, access.collection_read),
    "collection.unload": EndpointCommand(collections.load, access.collection_read),
    "collection.load_indexes": EndpointCommand(collections.maintain, access.collection_read),
    "collection.recalculate": EndpointCommand(collections.maintain, access.collection_read),
    "collection.compact": EndpointCommand(collections.compact, access.collection_read),
    "collection.shards": EndpointCommand(collections.shards, access.collection_read),
    "collection.responsible_shard": EndpointCommand(collections.shards, access.collection_read),
    # databases
    "database.list": EndpointCommand(databases.list_all),
    "database.user": EndpointCommand(databases.list_accessible),
    "database.current": EndpointCommand(databases.current),
    "database.create": EndpointCommand(databases.create, access.database_change, changes_accounts=True),
    "database.drop": EndpointCommand(databases.drop, access.database_change),
    # indexes
    "index.list": EndpointCommand(indexes.list_indexes, access.collection_read),
    "index.create": EndpointCommand(indexes.create_index, access.index_create),
    "index.read": EndpointCommand(indexes.read_index, access.collection_read),
    "index.drop": EndpointCommand(indexes.drop_index, access.collection_change),
    "index.selectivity": EndpointCommand(indexes.selectivity, access.collection_read),
    # transactions
    "transaction.begin": EndpointCommand(transactions.begin),
    "transaction.status": EndpointCommand(transactions.status),
    "transaction.commit": EndpointCommand(transactions.commit),
    "transaction.abort": EndpointCommand(transactions.abort),
    "transaction.list": EndpointCommand(transactions.list_running),
    # imports
    "import": EndpointCommand(imports.run),
    # graphs
    "gharial.list": EndpointCommand(graphs.list_all),
    "gharial.create": EndpointCommand(graphs.create, access.database_write),
    "gharial.read": EndpointCommand(graphs.read),
    "gharial.drop": EndpointCommand(graphs.drop, access.database_write),
    "gharial.vertex_collections": EndpointCommand(graphs.vertex_collections),
    "gharial.edge_collections": EndpointCommand(graphs.edge_collections),
    "gharial.add_vertex_collection": EndpointCommand(graphs.add_vertex_collection, access.database_write),
    "gharial.remove_vertex_collection": EndpointCommand(graphs.remove_vertex_collection, access.database_write),
    "gharial.add_edge_definition": EndpointCommand(graphs.add_edge_definition, access.database_write),
    "gharial.replace_edge_definition": EndpointCommand(graphs.replace_edge_definition, access.database_write),
    "gharial.remove_edge_definition": EndpointCommand(graphs.remove_edge_definition, access.database_write),
    # graph_documents
    "gharial.vertex_insert": EndpointCommand(graph_documents.insert),
    "gharial.vertex_read": EndpointCommand(graph_documents.read),
    "gharial.vertex_replace": EndpointCommand(graph_documents.change),
    "gharial.vertex_update": EndpointCommand(graph_documents.change),
    "gharial.vertex_remove": EndpointCommand(graph_documents.remove),
    "gharial.edge_insert": EndpointCommand(graph_documents.insert),
    "gharial.edge_read": EndpointCommand(graph_documents.read),
    "gharial.edge_replace": EndpointCommand(graph_documents.change),
    "gharial.edge_update": EndpointCommand(graph_documents.change),
    "gharial.edge_remove": EndpointCommand(graph_documents.remove),
    # simple
    "edges.read": EndpointCommand(simple.edges),
    "edges.read_many": EndpointCommand(simple.edges),
    "simple.all": EndpointCommand(simple.all_documents),
    "simple.all-keys": EndpointCommand(simple.all_keys),
    "simple.any": EndpointCommand(simple.any_document),
    "simple.by-example": EndpointCommand(simple.by_example),
    "simple.range": EndpointCommand(simple.by_range),
    "simple.first-example": EndpointCommand(simple.first_example),
    "simple.lookup-by-keys": EndpointCommand(simple.lookup_by_keys),
    "simple.remove-by-keys": EndpointCommand(simple.remove_by_keys),
    "simple.remove-by-example": EndpointCommand(simple.remove_by_example),
    "simple.replace-by-example": EndpointCommand(simple.replace_by_example),
    "simple.update-by-example": EndpointCommand(simple.update_by_example),
    # jobs
    "job": EndpointCommand(jobs.job),
    # wal
    "wal.last_tick": EndpointCommand(wal.last_tick, access.administrator),
    "wal.range": EndpointCommand(wal.range_, access.administrator),
    "wal.tail": EndpointCommand(wal.tail, access.administrator),
    # replication
    "replication.batch": EndpointCommand(replication.batch),
    "replication": EndpointCommand(replication.replication, access.collection_read),
    "dump": EndpointCommand(replication.dump),
    # users
    "auth.open": EndpointCommand(users.authenticate, access.anyone),
    "auth.renew": EndpointCommand(users.renew, access.anyone),
    "user.list": EndpointCommand(users.list_all, access.authenticated),
    "user.create": EndpointCommand(users.create, access.authenticated, changes_accounts=True),
    "user.prove": EndpointCommand(users.prove, access.authenticated),
    "user.read": EndpointCommand(users.read, access.authenticated),
    "user.replace": EndpointCommand(users.replace, access.authenticated, changes_accounts=True),
    "user.update": EndpointCommand(users.update, access.authenticated, changes_accounts=True),
    "user.remove": EndpointCommand(users.remove, access.authenticated, changes_accounts=True),
    "user.permission": EndpointCommand(users.below, access.authenticated, changes_accounts=True),
    "token": EndpointCommand(users.tokens, access.authenticated, changes_accounts=True),
    # analyzers
    "analyzer": EndpointCommand(analyzers.analyzers),
    # admin
    "version": EndpointCommand(admin.version),
    "engine": EndpointCommand(admin.engine),
    "engine.stats": EndpointCommand(admin.engine_statistics),
    "key_generators": EndpointCommand(admin.key_generators),
    "admin.statistics": EndpointCommand(admin.statistics),
    "admin.statistics_description": EndpointCommand(admin.statistics_described),
    "admin.license": EndpointCommand(admin.license_of),
    "admin.options": EndpointCommand(admin.options),
    "admin.support_info": EndpointCommand(admin.support_info),
    "admin.wal": EndpointCommand(admin.wal),
    "admin.tls": EndpointCommand(admin.tls),
    "admin.jwt": EndpointCommand(admin.jwt),
    "admin.target_version": EndpointCommand(admin.target_version),
    "admin.log": EndpointCommand(admin.log, access.administrator),
    "admin.deployment": EndpointCommand(admin.deployment),
    "admin.compact": EndpointCommand(admin.compact, access.database_write),
    "admin.routing": EndpointCommand(admin.routing),
    "admin.echo": EndpointCommand(admin.echo),
    "admin.status": EndpointCommand(admin.status),
    "admin.time": EndpointCommand(admin.clock),
    "admin.role": EndpointCommand(admin.role),
    "admin.availability": EndpointCommand(admin.availability, access.anyone),
    "admin.mode": EndpointCommand(admin.mode, changes_accounts=True),
    "admin.id": EndpointCommand(admin.identity),
    "admin.metrics": EndpointCommand(admin.metrics),
    "cluster.endpoints": EndpointCommand(admin.endpoints, access.authenticated),
    # unsupported
    "transaction.js": EndpointCommand(unsupported.refused("JavaScript transactions")),
    "view.create": EndpointCommand(unsupported.refused("views"), access.database_write),
    "simple.near": EndpointCommand(unsupported.refused("geo queries")),
    "simple.within": EndpointCommand(unsupported.refused("geo queries")),
    "simple.within-rectangle": EndpointCommand(unsupported.refused("geo queries")),
    "simple.fulltext": EndpointCommand(unsupported.refused("fulltext queries")),
    "replication.revisions": EndpointCommand(unsupported.refused("trees of revisions")),
    "batch": EndpointCommand(unsupported.gone),
    "simple.first": EndpointCommand(unsupported.gone),
    "simple.last": EndpointCommand(unsupported.gone),
    "admin.execute": EndpointCommand(unsupported.gone, access.administrator),
    "view.read": EndpointCommand(unsupported.views),
    "view.change": EndpointCommand(unsupported.no_view, access.database_write),
    "view.drop": EndpointCommand(unsupported.no_view, access.database_write),
    "task": EndpointCommand(unsupported.tasks),
    "foxx": EndpointCommand(unsupported.services),
    "query.function": EndpointCommand(unsupported.functions, access.database_write),
}
