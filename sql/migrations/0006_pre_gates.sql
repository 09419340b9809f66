-- What the gates look at beside counts: coverage and latency since the last reset, waivers, limits, writers that go
-- around the proxies.

-- Who waived a shape, and when; crossfade.shape.waived has the reason.
ALTER TABLE crossfade.shape ADD COLUMN waived_by text, ADD COLUMN waived_at timestamptz;

-- Two histograms, or rows of counts, added place by place.
CREATE FUNCTION crossfade.add_counts(one bigint[], other bigint[]) RETURNS bigint[] LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(array_agg(coalesce(a, 0) + coalesce(b, 0) ORDER BY place), '{}')
    FROM unnest(one, other) WITH ORDINALITY AS u (a, b, place)
$$;

-- Comparisons of a shape since the reset of the collection's figures at `since` (crossfade.comparison.since; rows of an
-- older one count no more), and how long both sides took: proxy/shadow/shape_coverage.py has the bounds of the places.
CREATE TABLE crossfade.coverage (
    collection text COLLATE "C" NOT NULL,
    shape text NOT NULL,
    since timestamptz NOT NULL,
    compared bigint NOT NULL DEFAULT 0,
    matched bigint NOT NULL DEFAULT 0,
    mismatched bigint NOT NULL DEFAULT 0,
    unsettled bigint NOT NULL DEFAULT 0,
    unsupported bigint NOT NULL DEFAULT 0,
    origin_histogram bigint[] NOT NULL DEFAULT '{}',
    target_histogram bigint[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (collection, shape)
);

-- Limits of gates that operators have set, over those of the settings.
CREATE TABLE crossfade.gate_limit (
    name text PRIMARY KEY,
    value double precision NOT NULL CHECK (value >= 0),
    reason text NOT NULL,
    actor text NOT NULL,
    set_at timestamptz NOT NULL DEFAULT now()
);

-- What proxies took, so that what nobody took can be told: revisions of documents written, negative ones of documents
-- removed; keys that were read again; collections that were changed as a whole. Kept for minutes.
CREATE TABLE crossfade.taken (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    instance text NOT NULL,
    collection text COLLATE "C" NOT NULL,
    revisions bigint[] NOT NULL DEFAULT '{}',
    keys text[] NOT NULL DEFAULT '{}',
    whole boolean NOT NULL DEFAULT false,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX taken_at ON crossfade.taken (at);

-- How far each process has told what it took. reached: every write whose intent was opened before is settled, and told.
CREATE TABLE crossfade.told (
    instance text NOT NULL,
    incarnation text NOT NULL,
    began timestamptz NOT NULL DEFAULT clock_timestamp(),
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    sequence bigint NOT NULL DEFAULT 0, -- of the newest report: one that lands late changes nothing
    reached timestamptz, -- NULL before the second report
    untold timestamptz, -- some of what it took until then does not stand in crossfade.taken: there was too much
    closed boolean NOT NULL DEFAULT false, -- it ended with everything told
    PRIMARY KEY (instance, incarnation)
);

-- The watch for writers that go around the proxies, a row a collection. since: nothing has escaped it from then on.
-- judged: whatever was written before is judged.
CREATE TABLE crossfade.watch (
    collection text COLLATE "C" PRIMARY KEY REFERENCES crossfade.collection ON DELETE CASCADE,
    mode text NOT NULL, -- 'log': the origin's write-ahead log; 'scan': revisions newer than the last look
    since timestamptz NOT NULL,
    judged timestamptz NOT NULL,
    looked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    pending bigint NOT NULL DEFAULT 0,
    note text NOT NULL DEFAULT ''
);

-- Documents that were written or removed around the proxies; the newest revision of each.
CREATE TABLE crossfade.bypass (
    collection text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    rev bigint NOT NULL,
    removed boolean NOT NULL,
    found_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    repaired_at timestamptz,
    PRIMARY KEY (collection, key)
);
