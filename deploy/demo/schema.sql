-- The relational side of the résumé service, which stays where it is: better-auth's tables, and the profiles whose
-- resume_id names a document in ArangoDB (DESIGN section 11, reference service). Safe to run twice.

CREATE TABLE IF NOT EXISTS "user" (
    id text PRIMARY KEY,
    name text NOT NULL,
    email text NOT NULL UNIQUE,
    "emailVerified" boolean NOT NULL DEFAULT false,
    image text,
    "createdAt" timestamp NOT NULL DEFAULT now(),
    "updatedAt" timestamp NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS session (
    id text PRIMARY KEY,
    "userId" text NOT NULL REFERENCES "user" ON DELETE CASCADE,
    token text NOT NULL UNIQUE,
    "expiresAt" timestamp NOT NULL,
    "ipAddress" text,
    "userAgent" text,
    "createdAt" timestamp NOT NULL DEFAULT now(),
    "updatedAt" timestamp NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS account (
    id text PRIMARY KEY,
    "userId" text NOT NULL REFERENCES "user" ON DELETE CASCADE,
    "accountId" text NOT NULL,
    "providerId" text NOT NULL,
    password text,
    "createdAt" timestamp NOT NULL DEFAULT now(),
    "updatedAt" timestamp NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS verification (
    id text PRIMARY KEY,
    identifier text NOT NULL,
    value text NOT NULL,
    "expiresAt" timestamp NOT NULL,
    "createdAt" timestamp,
    "updatedAt" timestamp
);

CREATE TABLE IF NOT EXISTS user_profiles (
    user_id text PRIMARY KEY REFERENCES "user" ON DELETE CASCADE,
    phone text,
    location text,
    title text,
    bio text,
    resume_id text, -- _key of a document in the collection `resumes`
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
