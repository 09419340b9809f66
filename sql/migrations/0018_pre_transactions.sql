-- Stream transactions that a proxy saw, for whoever is asked to commit them: another proxy, or the same one behind a
-- restart. One row for each instance that began it or wrote in it, until it ends; what is left goes after a day.
CREATE TABLE crossfade.stream_transaction (
    database text NOT NULL,
    id text NOT NULL,
    instance text NOT NULL,
    incarnation text NOT NULL, -- one a process
    wrote boolean NOT NULL DEFAULT false, -- something was written in it through that instance
    lost boolean NOT NULL DEFAULT false, -- what was written is in no process's memory: a commit must mark
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (database, id, instance, incarnation)
);
