-- Backfill: limits that are changed while workers run, chunks that can be cut and that are freed as soon as their
-- worker's connection is gone, verifications of a part of a collection, an index for full-text search.

-- One row: what operators have set for every worker. NULL: no limit.
CREATE TABLE crossfade.throttle (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    max_rate double precision CHECK (max_rate > 0), -- documents a second, of all workers together
    max_lag double precision CHECK (max_lag >= 0), -- seconds that the mirror may be behind
    max_replica_lag double precision CHECK (max_replica_lag >= 0), -- seconds that PostgreSQL's replicas may be behind
    max_slowdown double precision CHECK (max_slowdown > 1), -- times the databases' own usual latency
    flag_file text, -- while it exists on a worker's machine, that worker waits
    paused boolean NOT NULL DEFAULT false,
    changed_by text,
    changed_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO crossfade.throttle (one) VALUES (true);

ALTER TABLE crossfade.chunk
    ADD COLUMN shard text, -- read by a dump of this shard; NULL: by pages in key order
    ADD COLUMN expected bigint NOT NULL DEFAULT 0, -- documents, as planned
    ADD COLUMN holder integer, -- advisory lock (1128421190, holder) that its process keeps while it lives
    ADD COLUMN waiting text; -- why its worker waits just now

-- 'check' is a verification of a part: what it finds is told, and no gate takes it for a verification.
ALTER TABLE crossfade.run DROP CONSTRAINT run_kind_check;
ALTER TABLE crossfade.run ADD CONSTRAINT run_kind_check CHECK (kind IN ('backfill', 'verify', 'check'));

-- Every string of a document for full-text search. A document with more text than a tsvector holds is found by its
-- beginning only: an index must never refuse a write of the mirror.
CREATE FUNCTION crossfade.full_text(doc jsonb) RETURNS tsvector LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN jsonb_to_tsvector('pg_catalog.simple', doc, '["string"]');
EXCEPTION WHEN program_limit_exceeded THEN
    RETURN to_tsvector('pg_catalog.simple', left(doc::text, 100000));
END
$$;
