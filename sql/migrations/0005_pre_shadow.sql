-- What the shadow looks at and what it lets pass: sampling, noise, why reads were skipped, ArangoDB against itself.

-- Compared, and equal but for noise: shown beside what matched, never silently (Scientist's third word).
ALTER TABLE crossfade.shape ADD COLUMN ignored bigint NOT NULL DEFAULT 0;
ALTER TABLE crossfade.comparison ADD COLUMN ignored bigint NOT NULL DEFAULT 0;

-- Shares of reads, over the settings: of a collection ('' for every shape), or of one shape of it.
CREATE TABLE crossfade.sampling (
    collection text COLLATE "C" NOT NULL,
    shape text NOT NULL DEFAULT '',
    percent double precision CHECK (percent BETWEEN 0 AND 100), -- compared with PostgreSQL; NULL: as set elsewhere
    twice double precision CHECK (twice BETWEEN 0 AND 100), -- of those, ArangoDB read twice and compared with itself
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (collection, shape)
);

-- Places where a difference does not matter. path: as `crossfade mismatches list` prints it; `*` stands for a name.
CREATE TABLE crossfade.noise (
    id bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    collection text COLLATE "C" NOT NULL,
    path text NOT NULL,
    rule text NOT NULL CHECK (rule IN ('ignore', 'round', 'seconds', 'set')),
    argument double precision, -- round: digits behind the point; seconds: to how many a timestamp is rounded
    reason text NOT NULL,
    actor text NOT NULL,
    added_at timestamptz NOT NULL DEFAULT now(),
    seen bigint NOT NULL DEFAULT 0, -- comparisons that were equal by the rules of the collection
    PRIMARY KEY (collection, path, rule),
    CHECK ((argument IS NOT NULL) = (rule IN ('round', 'seconds')))
);

-- Reads that were not compared, by reason.
CREATE TABLE crossfade.skipped (
    collection text COLLATE "C" NOT NULL,
    shape text NOT NULL,
    reason text NOT NULL,
    number bigint NOT NULL,
    last_seen timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (collection, shape, reason)
);

-- Where ArangoDB differs from itself, two reads in a row with no write between them: such a difference is its own.
CREATE TABLE crossfade.twice (
    collection text COLLATE "C" NOT NULL,
    shape text NOT NULL,
    class text NOT NULL, -- '' counts the readings that agreed
    path text NOT NULL,
    number bigint NOT NULL,
    subtracted bigint NOT NULL DEFAULT 0, -- mismatches that were taken for this
    first_seen timestamptz NOT NULL DEFAULT now(),
    last_seen timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (collection, shape, class, path)
);
