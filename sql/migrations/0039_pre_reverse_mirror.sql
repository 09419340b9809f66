-- What the reverse mirror needs to know of what it carries from the outbox to ArangoDB.

-- at: when the write's transaction began, so that the age of the oldest row is known.
ALTER TABLE _crossfade.outbox ADD COLUMN at timestamptz NOT NULL DEFAULT now();

-- The stream transaction that an applier has open in ArangoDB, as 'database/number'. Whoever takes the lease after it
-- aborts that, since it may be locking the fence document until ArangoDB's own time is up.
ALTER TABLE _crossfade.applier ADD COLUMN push text;

-- Documents that ArangoDB refuses, and why; key: '' for all of a collection. Their rows stay in the outbox, so that nothing is
-- forgotten and no demotion is possible; other rows pass them. They are tried again from `retry` on.
CREATE TABLE _crossfade.refused_push (
    collection text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    reason text NOT NULL,
    since timestamptz NOT NULL DEFAULT now(),
    retry timestamptz NOT NULL,
    PRIMARY KEY (collection, key)
);
