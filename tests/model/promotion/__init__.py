"""Promotion and demotion of one collection as an explicit-state model: every interleaving of its steps, within bounds.

    state.py        the state, the rules (each can be disabled) and the bounds of a run
    statements.py   what the databases do: statements of the mirror, executed writes, pushes
    instances.py    proxies: cuts from PostgreSQL, leases, crashes, evictions, acknowledgements
    control.py      the control row: hold, floor, commit, abort, demotion, break-glass; verification, purge
    rights.py       the rights of ArangoDB's users, taken and given back user by user
    writes.py       writes of clients, forwarded to ArangoDB or decided by PostgreSQL; with conditions or without
    appliers.py     the reverse mirror of documents: leases, rounds, pushes that run late
    reads.py        one client's reads
    model.py        the first state, the properties, equal states as one
    runs.py         bounds that are explored, and what each rule is needed for

Each step is atomic; what is slow, frozen or late takes its steps later. A lease may run out at any moment: there is no
clock. The proxies have no names: traces may exchange them.

Properties: LOST the database that takes the writes lacks a state that a client was told of; DIFFERENT the outbox is
empty, or all is at rest, and the databases differ (a lost or a resurrected document); STALE a read, or the refusal of a
write, shows an older state than was acknowledged or seen before it; REVISION one revision is given twice, or a key gets
a lower one; UPDATE LOST a conditional write replaces another state than it expects; STUCK from some state no state at
rest can be reached: the writer decided, both databases equal, the rights those that the writer demands.

A conditional write stands for `If-Match`, for an insert whose key must be free, and for a query that reads, decides and
writes: it has to decide by the row that it has locked. Changes of whole collections, unique indexes, transactions of
several keys and several parts are in tests/model/reverse.

Not modelled, and therefore refused or documented as limits:
- requests that run at ArangoDB, and requests for rights, later than `late_request`;
- clients of ArangoDB itself before their rights are taken (`bypasses` begin after the commit);
- an evicted process that lives, or restarts and cannot reach PostgreSQL: it forwards writes until the rights are taken,
  and answers reads. What an evicted one acknowledged alone is found by the verification only;
- a failover of PostgreSQL that loses commits; clusters of ArangoDB, whose shards have clocks of their own;
- weights below 100: a promotion begins at 100 %;
- several collections in one promotion: their rows are changed by one transaction, ordered by name;
- stream transactions and cursors at ArangoDB: a write, or a read, under way.
"""
