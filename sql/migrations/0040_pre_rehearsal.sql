-- The rehearsal of writes: which shapes of writes the rules of PostgreSQL alone were compared with ArangoDB on.

ALTER TABLE _crossfade.mismatch DROP CONSTRAINT mismatch_class_check,
    ADD CONSTRAINT mismatch_class_check
        CHECK (class IN ('missing', 'extra', 'stale', 'value', 'type', 'order', 'error', 'write'));

-- A shape of writes: endpoint and parameters, or a query without its literals.
CREATE TABLE _crossfade.write_shape (
    collection text COLLATE "C" NOT NULL,
    shape text NOT NULL,
    text text NOT NULL,
    seen bigint NOT NULL DEFAULT 0,
    equal bigint NOT NULL DEFAULT 0,
    different bigint NOT NULL DEFAULT 0,
    no_verdict bigint NOT NULL DEFAULT 0, -- chosen for a rehearsal, and not decided: by reason in the next table
    first_seen timestamptz NOT NULL DEFAULT now(),
    last_seen timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (collection, shape)
);

CREATE TABLE _crossfade.write_shape_reason (
    collection text COLLATE "C" NOT NULL,
    shape text NOT NULL,
    reason text NOT NULL,
    number bigint NOT NULL,
    PRIMARY KEY (collection, shape, reason)
);
