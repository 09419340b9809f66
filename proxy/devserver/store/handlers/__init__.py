"""Handlers of the endpoints: functions of (server, operation) that return an outcome, one module a subject.

table    COMMANDS: endpoint -> handler, rule of access
unknown  paths and methods that are not endpoints

documents, collections, databases, indexes, cursors, explain, query_tracking (running and slow queries, caches),
transactions, imports, graphs, graph_documents, simple (simple queries, edges of a vertex), jobs (asynchronous),
wal, replication, users (and tokens), analyzers, admin, unsupported (what is refused by name)

Terms: *command*: an endpoint with its handler and the rule of who may use it; *access rule*: the check that runs
before the handler if the server limits access.
"""
