"""ArangoDB in memory: one server's state, and one file for each group of endpoints.

store         MemoryStore: the handlers by endpoint; waits for locks
server        databases, collections, clock, ticks, cursors, transactions, jobs, settings
collection    encoded documents ordered by key; keys (generators), indexes (uniqueness), schema, expiry (TTL)
writes        one document written: what all ways of writing share; asked: numbers of requests, checked
accounts      users, passwords, levels; access: who may do what, where it is checked
documents, collections, databases (and indexes), cursors, transactions, imports, graphs, graph_documents, simple (and
edges), explain, tracking (what is remembered of queries), jobs, wal, replication, users, admin    endpoints
unbuilt       what is refused by name
queries       drives the evaluator of AQL over the collections
log           the write-ahead log that `wal` shows
snapshot      the whole server to files and back
"""

from proxy.devserver.store.store import MemoryStore

__all__ = ["MemoryStore"]
