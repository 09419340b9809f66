"""An ArangoDB server in memory. Handlers carry out the endpoints over the state of one server.

The rules of writes, and the answers to them, are those of proxy/semantics: PostgreSQL as a store follows the same.

store              MemoryStore: waiting for locks
dispatch           carries out one operation: its command, its access, its errors as outcomes
async_requests     requests that are answered immediately and carried out as jobs
command_table      endpoint -> command, from all handlers
handlers/          endpoint -> handler, one module a subject
queries/           AQL over the collections
commands           what a handler declares for an endpoint
access             who may do what
collection_lookup  the collection, or a transaction's copy of it, that a request reads or writes
expiry             removes what TTL indexes have expired
snapshot           the whole server in files
answers            parts of answers that several groups of endpoints have in common
state/             what the server keeps, below everything else

Terms: *command*: an endpoint with its handler and the rule of who may use it. *Patient*: a request that may be
repeated when a lock is released, and has written nothing yet.
"""

from proxy.devserver.store.store import MemoryStore

__all__ = ["MemoryStore"]
