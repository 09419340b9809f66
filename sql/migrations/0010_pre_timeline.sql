-- The timeline of PostgreSQL's log when an instance last looked: it changes with a failover, which may lose commits.
CREATE TABLE crossfade.timeline (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    timeline integer NOT NULL,
    noted_at timestamptz NOT NULL DEFAULT now()
);
