"""ArangoDB in memory: one server's state, and one file for each group of endpoints.

store         MemoryStore: the handlers by endpoint
server        databases, collections, clock, ticks, cursors, transactions, jobs
collection    encoded documents ordered by key; keys (generators), indexes (uniqueness), schema
writes        one document written: what all ways of writing share
documents, collections, databases (and indexes), cursors, transactions, imports, graphs, simple (and edges),
explain, jobs, wal, replication, admin (version, users, authentication)     endpoints
queries       drives the evaluator of AQL over the collections
log           the write-ahead log that `wal` shows
snapshot      the whole server to files and back
"""

from proxy.stores.memory.store import MemoryStore

__all__ = ["MemoryStore"]
