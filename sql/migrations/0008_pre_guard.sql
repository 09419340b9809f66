-- Guards: flipped collections that the proxies take back by themselves where PostgreSQL fails (DESIGN section 9).

-- One row a collection: the guard that is armed, or the last one. Those of one epoch are taken back together.
CREATE TABLE crossfade.guard (
    collection text COLLATE "C" PRIMARY KEY REFERENCES crossfade.collection ON DELETE CASCADE,
    epoch bigint NOT NULL, -- the change that it was armed with
    errors_percent double precision NOT NULL CHECK (errors_percent >= 0), -- of reads that PostgreSQL failed
    seconds double precision CHECK (seconds > 0), -- that a read may take, but one in a hundred; NULL: any
    mismatches bigint NOT NULL CHECK (mismatches >= 0), -- confirmed since it was armed
    mismatches_before bigint NOT NULL, -- crossfade.comparison.mismatched when it was armed
    armed_at timestamptz NOT NULL DEFAULT now(),
    armed_by text NOT NULL,
    ended_at timestamptz, -- NULL: it is armed
    ended_by text, -- NULL where the collection was taken back by other means
    why text -- what it took the collection back for; NULL where it did not
);
