-- The control plane: stages, epochs, instances, what is unverified, chunks, shapes, mismatches, audit.
-- Rules: mirror-protocol ("Eras", "Flip"); tables are named in DESIGN sections 2, 9, 10 and 11.

CREATE SCHEMA IF NOT EXISTS crossfade;

-- The era: one row, raised in its own durable transaction. Not a sequence: nextval may be lost in a crash.
CREATE TABLE crossfade.era (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    era bigint NOT NULL
);
INSERT INTO crossfade.era (era) VALUES (1);

CREATE FUNCTION crossfade.raise_era() RETURNS bigint LANGUAGE sql AS
$$ UPDATE crossfade.era SET era = era + 1 RETURNING era $$;

-- Every collection that the control plane has met, and the table that holds its documents.
CREATE TABLE crossfade.collection (
    collection text COLLATE "C" PRIMARY KEY, -- 'database/name'
    database text NOT NULL,
    name text NOT NULL,
    edge boolean NOT NULL DEFAULT false,
    relation text NOT NULL, -- schema-qualified and quoted: the only identifier that statements are built with
    stage text NOT NULL DEFAULT 'off'
        CHECK (stage IN ('off', 'mirror', 'shadow', 'flipped', 'promoted', 'complete')),
    weight integer NOT NULL DEFAULT 0 CHECK (weight BETWEEN 0 AND 100),
    stage_since timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL DEFAULT now()
);

-- One horizon a collection: a statement stamped before it is refused, and its keys are read again.
CREATE TABLE crossfade.horizon (
    collection text COLLATE "C" PRIMARY KEY REFERENCES crossfade.collection ON DELETE CASCADE,
    mark bigint NOT NULL DEFAULT 0
);

-- The stage that new collections of a database begin with; '*' stands for every other database.
CREATE TABLE crossfade.default_stage (
    database text PRIMARY KEY,
    stage text NOT NULL CHECK (stage IN ('off', 'mirror', 'shadow'))
);

-- One row: the compare-and-set of every change of stage. generation counts each change of (epoch, phase).
CREATE TABLE crossfade.control (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    generation bigint NOT NULL,
    epoch bigint NOT NULL,
    phase text NOT NULL CHECK (phase IN ('settled', 'begin', 'hold', 'drain')),
    held_since timestamptz -- when phase `hold` began: a commit later than the longest wait of a query is refused
);
INSERT INTO crossfade.control (generation, epoch, phase) VALUES (1, 0, 'settled');

CREATE TABLE crossfade.epoch (
    epoch bigint PRIMARY KEY,
    opened_at timestamptz NOT NULL DEFAULT now(),
    closed_at timestamptz,
    outcome text NOT NULL DEFAULT 'open' CHECK (outcome IN ('open', 'committed', 'aborted')),
    actor text NOT NULL,
    reason text,
    -- [{"collection": …, "before": {"stage", "weight"}, "after": {"stage", "weight"}}]
    moves jsonb NOT NULL
);

-- Registered proxies. A row without stopped_at counts: it must acknowledge, and its lease must hold.
CREATE TABLE crossfade.instance (
    instance text PRIMARY KEY,
    incarnation text NOT NULL DEFAULT '', -- one a process: statements of a dead one, still under way, match nothing
    joined_at timestamptz NOT NULL DEFAULT now(), -- kept when a crashed instance comes back: it was never out
    host text NOT NULL,
    pid integer NOT NULL,
    version text NOT NULL,
    admin_url text,
    started_at timestamptz NOT NULL DEFAULT now(),
    heartbeat_at timestamptz NOT NULL DEFAULT now(),
    lease_until timestamptz NOT NULL DEFAULT now(), -- in PostgreSQL's time: a late heartbeat cannot extend it
    generation bigint NOT NULL DEFAULT 0, -- the newest that it behaves by
    acknowledged bigint NOT NULL DEFAULT 0, -- the newest whose conditions it met
    diverged boolean NOT NULL DEFAULT false,
    backlog bigint NOT NULL DEFAULT 0, -- open intents, opaque ones included
    lag_seconds double precision NOT NULL DEFAULT 0, -- age of the oldest open intent
    stopped_at timestamptz
);

-- A collection ('db/name') or a whole database ('db/*') whose copy may have missed a write. Never deleted:
-- a verification that began after a mark was written covers it.
CREATE TABLE crossfade.unverified (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    collection text COLLATE "C" NOT NULL,
    reason text NOT NULL,
    instance text NOT NULL,
    marked_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX unverified_collection ON crossfade.unverified (collection, id);

-- One backfill or verification of one collection, and its chunks (key ranges, bytewise).
CREATE TABLE crossfade.run (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    collection text COLLATE "C" NOT NULL REFERENCES crossfade.collection ON DELETE CASCADE,
    kind text NOT NULL CHECK (kind IN ('backfill', 'verify')),
    mode text NOT NULL DEFAULT 'fast',
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'done', 'failed', 'cancelled')),
    unverified_before bigint NOT NULL, -- max(unverified.id) when it began: marks up to there are covered
    started_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    result jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX run_collection ON crossfade.run (collection, kind, id);

CREATE TABLE crossfade.chunk (
    run bigint NOT NULL REFERENCES crossfade.run ON DELETE CASCADE,
    number integer NOT NULL,
    lower text COLLATE "C", -- exclusive; NULL: from the first key
    upper text COLLATE "C", -- inclusive; NULL: to the last key
    position text COLLATE "C", -- the last key that is done
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'claimed', 'done', 'failed')),
    worker text,
    lease_until timestamptz,
    documents bigint NOT NULL DEFAULT 0,
    bytes bigint NOT NULL DEFAULT 0,
    result jsonb NOT NULL DEFAULT '{}',
    error text,
    PRIMARY KEY (run, number)
);

-- What the shadow saw, by shape: coverage (I9) and latency on both sides, in seconds.
CREATE TABLE crossfade.shape (
    collection text COLLATE "C" NOT NULL,
    shape text NOT NULL, -- hash of the operation without its literals
    text text NOT NULL,
    seen bigint NOT NULL DEFAULT 0,
    compared bigint NOT NULL DEFAULT 0,
    matched bigint NOT NULL DEFAULT 0,
    mismatched bigint NOT NULL DEFAULT 0,
    unsettled bigint NOT NULL DEFAULT 0,
    unsupported bigint NOT NULL DEFAULT 0,
    skipped bigint NOT NULL DEFAULT 0,
    origin_seconds double precision NOT NULL DEFAULT 0,
    target_seconds double precision NOT NULL DEFAULT 0,
    first_seen timestamptz NOT NULL DEFAULT now(),
    last_seen timestamptz NOT NULL DEFAULT now(),
    waived text,
    PRIMARY KEY (collection, shape)
);

-- The figures that the mismatch gate looks at: since the last repair, epoch or change of mapping.
CREATE TABLE crossfade.comparison (
    collection text COLLATE "C" PRIMARY KEY,
    since timestamptz NOT NULL DEFAULT now(),
    compared bigint NOT NULL DEFAULT 0,
    matched bigint NOT NULL DEFAULT 0,
    mismatched bigint NOT NULL DEFAULT 0,
    unsettled bigint NOT NULL DEFAULT 0,
    unsupported bigint NOT NULL DEFAULT 0,
    lagged bigint NOT NULL DEFAULT 0
);

CREATE TABLE crossfade.mismatch (
    id bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    collection text COLLATE "C" NOT NULL,
    fingerprint text NOT NULL,
    class text NOT NULL CHECK (class IN ('missing', 'extra', 'stale', 'value', 'type', 'order', 'error')),
    paths text[] NOT NULL DEFAULT '{}',
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'repaired', 'ignored')),
    seen bigint NOT NULL DEFAULT 1,
    first_seen timestamptz NOT NULL DEFAULT now(),
    last_seen timestamptz NOT NULL DEFAULT now(),
    keys text[] NOT NULL DEFAULT '{}', -- of the documents concerned, at most 100
    samples jsonb NOT NULL DEFAULT '[]', -- request, both answers, revisions, explanation; at most 5
    PRIMARY KEY (collection, fingerprint)
);

-- Documents that PostgreSQL could not hold: counted, named, and a block on the flip; never on the others.
CREATE TABLE crossfade.dead_letter (
    collection text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    rev bigint NOT NULL,
    reason text NOT NULL,
    noted_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (collection, key)
);

-- What passed through without being captured or compared, by endpoint (I10).
CREATE TABLE crossfade.gap (
    database text NOT NULL,
    collection text COLLATE "C" NOT NULL DEFAULT '',
    endpoint text NOT NULL,
    effect text NOT NULL,
    seen bigint NOT NULL DEFAULT 0,
    first_seen timestamptz NOT NULL DEFAULT now(),
    last_seen timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (database, collection, endpoint, effect)
);

-- Who changed what, when and why, chained by hash: hash = sha256(previous || canonical JSON of the row).
CREATE TABLE crossfade.audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    actor text NOT NULL,
    action text NOT NULL,
    reason text,
    detail jsonb NOT NULL DEFAULT '{}',
    previous bytea NOT NULL,
    hash bytea NOT NULL
);
