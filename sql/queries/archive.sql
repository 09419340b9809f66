-- Archives: what an export reads of a table, what an import writes beside the statements of documents.sql.

-- name: page
-- Documents with keys above $1 in byte order, at most $2, and of about $3 stored bytes at most (one at least). The
-- window sums stored sizes, which are known without reading the documents themselves.
SELECT key, rev, raw::text AS raw
FROM (SELECT key, rev, raw, sum(pg_column_size(raw)) OVER (ORDER BY key COLLATE "C") - pg_column_size(raw) AS before
      FROM (SELECT key, rev, raw FROM {relation} WHERE doc IS NOT NULL AND key > $1
            ORDER BY key COLLATE "C" LIMIT $2) AS few) AS page
WHERE before < $3
ORDER BY key COLLATE "C";

-- name: digest
-- Documents, their bytes as printed, and the sums of the eight words of their sha256 (backfill/checksum.py).
SELECT count(*) AS documents, coalesce(sum(octet_length(text)), 0)::bigint AS bytes,
       coalesce(sum(('x' || encode(substring(hash FROM 1 FOR 4), 'hex'))::bit(32)::bigint), 0)::text AS w1,
       coalesce(sum(('x' || encode(substring(hash FROM 5 FOR 4), 'hex'))::bit(32)::bigint), 0)::text AS w2,
       coalesce(sum(('x' || encode(substring(hash FROM 9 FOR 4), 'hex'))::bit(32)::bigint), 0)::text AS w3,
       coalesce(sum(('x' || encode(substring(hash FROM 13 FOR 4), 'hex'))::bit(32)::bigint), 0)::text AS w4,
       coalesce(sum(('x' || encode(substring(hash FROM 17 FOR 4), 'hex'))::bit(32)::bigint), 0)::text AS w5,
       coalesce(sum(('x' || encode(substring(hash FROM 21 FOR 4), 'hex'))::bit(32)::bigint), 0)::text AS w6,
       coalesce(sum(('x' || encode(substring(hash FROM 25 FOR 4), 'hex'))::bit(32)::bigint), 0)::text AS w7,
       coalesce(sum(('x' || encode(substring(hash FROM 29 FOR 4), 'hex'))::bit(32)::bigint), 0)::text AS w8
FROM (SELECT text, sha256(convert_to(text, 'UTF8')) AS hash
      FROM (SELECT raw::text AS text FROM {relation} WHERE doc IS NOT NULL OFFSET 0) AS printed OFFSET 0) AS hashed;

-- name: by_keys
-- The documents with keys $1 text[].
SELECT key, rev, raw::text AS raw FROM {relation} WHERE doc IS NOT NULL AND key = ANY ($1::text[]);
