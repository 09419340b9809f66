"""The reverse mirror: it carries to ArangoDB what PostgreSQL has written since it takes the writes of collections.

A write adds the keys of its documents to the outbox, in its own transaction. An applier reads the oldest rows and the
present documents of their keys, makes ArangoDB have these, and removes the rows: state is copied, no request is
repeated. Revisions are kept. The rules, and what each is needed for: promotion-protocol, "Reverse mirror", and
tests/model/reverse.

    mirror         the owner of the task: the lease, rounds, pauses while ArangoDB is away, figures
    rounds         one round: read, push, confirm; what is tried if ArangoDB refuses documents
    push           one stream transaction of ArangoDB, which tests and writes the token
    plan           which documents a push writes and which it removes: pure
    batch          rows and documents that one push carries: pure
    outbox         the rows and the lease in PostgreSQL
    origin         requests to ArangoDB with Crossfade's account
    changes          requests that change whole collections, and what their answers mean: pure
    carried_changes  carries such a change: announced, sent in time, confirmed
    canary         one document in both directions, the proof before a promotion
    announcements  changes of collections that may still run in ArangoDB
    backlog        what ArangoDB lacks: for `status`, metrics, and answers that wait until it has a write

Terms: *applier*: the process that has the lease of a part of the outbox; *token*: the number of the lease, which each
taking raises; *fence document*: a document in each database of ArangoDB, in the collection `_crossfade`: it has the
newest token that ArangoDB has seen, and a push locks it until it ends, so that a late push of a former applier is
refused; *push*: one transaction of ArangoDB; *refused*: of a document, that ArangoDB does not take it: its rows stay in
the outbox, which prevents a demotion, and it is tried again; *canary*: the
document of that proof; *along*: of a document, that it is pushed although no row
of the batch names it, since ArangoDB has a value in a unique index for it that another document needs.
"""

from proxy.reverse.backlog import ReverseBacklog
from proxy.reverse.mirror import ReverseMirror

__all__ = ["ReverseBacklog", "ReverseMirror"]
