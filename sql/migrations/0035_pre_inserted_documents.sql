-- INSERT and UPSERT as one statement (proxy/aql/compile/writes/inserting).

-- A document with another revision and a small patch merged into it, as `patched` does it. in_patch: an object without the
-- system's attributes, as it is printed; it may be empty.
CREATE FUNCTION _crossfade.patched_with(
    in_raw json, in_doc jsonb, in_revision bigint, in_patch json, in_keep_null boolean, in_merge boolean)
RETURNS json LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT _crossfade.patched(
        in_raw, in_doc, in_revision, coalesce(array_agg(e.key ORDER BY e.place), '{}'),
        coalesce(array_agg(to_json(e.key)::text || ':' ORDER BY e.place), '{}'),
        coalesce(array_agg(e.value::text ORDER BY e.place), '{}'), in_keep_null, in_merge)
    FROM json_each(in_patch) WITH ORDINALITY e (key, value, place)
$$;

-- As before (0034), without a refusal of constants, which PostgreSQL would compute, and raise, while it plans.
CREATE OR REPLACE FUNCTION _crossfade.queryable_members(in_members text) RETURNS jsonb LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT _crossfade.unless(strpos(in_members, U&'\FDD0') > 0, ('{' || in_members || '}')::jsonb)
$$;
