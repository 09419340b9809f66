-- Who carries the outbox to ArangoDB, after PostgreSQL has taken the writes of a collection.

-- The outbox is carried part by part. All rows of a collection are in one part, so that a change of the whole collection
-- can be ordered among them.
ALTER TABLE _crossfade.outbox ADD COLUMN part smallint NOT NULL DEFAULT 0;

-- A process that carries a part is its applier, elected by this row: it has the lease until another takes it, which it may
-- not have noticed. So it deletes outbox rows only with a FOR SHARE lock of the row as it was when it took the lease, and
-- ArangoDB refuses what carries an older token than it has seen. token: raised by each taking of the lease.
CREATE TABLE _crossfade.applier (
    part smallint PRIMARY KEY,
    token bigint NOT NULL DEFAULT 0,
    holder text,
    until timestamptz NOT NULL DEFAULT '-infinity'
);
INSERT INTO _crossfade.applier (part) VALUES (0);
