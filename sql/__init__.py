"""SQL lives here, named and described, and nowhere else.

    migrations/NNNN_{pre,post}_name.sql   numbered, checksummed; `pre` before PostgreSQL takes over, `post` after
    queries/*.sql                         a file a topic; `-- name: x` begins a statement
    loader.py                             reads both

Statements on document tables have `{relation}` for the table, filled by `Query.on`, whose argument comes from
`_crossfade.collection.relation`: schema-qualified and quoted by PostgreSQL itself. Everything else is a parameter.
"""
