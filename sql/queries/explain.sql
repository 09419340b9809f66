-- PostgreSQL's plan of a generated statement, for `crossfade explain`. {query}: the statement; its parameters follow.

-- name: plan
-- Line by line, with estimated costs.
EXPLAIN (COSTS) {query};

-- name: measured_plan
-- Line by line; the statement runs.
EXPLAIN (ANALYZE, BUFFERS) {query};

-- name: plan_tree
-- As JSON.
EXPLAIN (FORMAT JSON) {query};
