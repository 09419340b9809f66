-- What PostgreSQL refused may be a removal as well; and when it was last tried again.
ALTER TABLE crossfade.dead_letter
    ADD COLUMN removed boolean NOT NULL DEFAULT false,
    ADD COLUMN tried_at timestamptz NOT NULL DEFAULT now();
