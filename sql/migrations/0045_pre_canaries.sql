-- The documents that prove the reverse mirror before a promotion: one of each instance, while it is carried.
CREATE TABLE _crossfade.canary (
    instance text COLLATE "C" PRIMARY KEY,
    rev bigint NOT NULL,
    raw json NOT NULL
);
