-- Examples of reads by shape: `crossfade shadow replay` sends them again, so that shapes that clients rarely send reach
-- the numbers that gates ask for. One row an example; collections are `database/name` of all that it reads.
CREATE TABLE crossfade.example (
    shape text NOT NULL,
    digest text NOT NULL, -- of the request
    collections text[] NOT NULL,
    request text NOT NULL, -- JSON as a sample of a mismatch has it: method, target, headers, query, bindVars, options, body
    recorded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (shape, digest)
);
