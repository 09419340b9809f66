"""An ArangoDB server in memory. Handlers carry out the endpoints over the state of one server.

store              MemoryStore: the table of commands, waiting for locks, jobs, errors as outcomes
command_table      endpoint -> command, from all handlers
handlers/          endpoint -> handler, one module a subject
queries/           AQL over the collections
commands           what a handler declares for an endpoint
access             who may do what
collection_lookup  the collection, or a transaction's copy of it, that a request reads or writes
write_document     writes one document: locks, keys, revisions
write_rules        what a write makes of one document: the decision alone
schema             JSON Schema of a collection
expiry             removes what TTL indexes have expired
snapshot           the whole server in files
request_params, answers, encoded_document
state/             what the server keeps, below everything else

Terms: *command*: an endpoint with its handler and the rule of who may use it. *Patient*: a request that may be
repeated when a lock is released, and has written nothing yet.
"""

from proxy.devserver.store.store import MemoryStore

__all__ = ["MemoryStore"]
