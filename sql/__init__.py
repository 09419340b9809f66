"""All SQL of Crossfade, named, described and typed.

    migrations/NNNN_{pre,post}_name.sql   numbered, checksummed; `pre` before PostgreSQL takes over, `post` after
    queries/*.sql                         a file a topic; `-- name: x` begins a statement, `-- fragment: x` shared text
    statements/*.py                       a module a topic: each statement with the type of its rows
    statement.py                          the class of a statement
    loader.py                             reads the text

A statement is named `sql.topic.NAME`, as in `await database.fetch(sql.collections.ALL)`. Statements on document
tables have `{relation}` for the table, filled by `Statement.on`, whose argument comes from
`_crossfade.collection.relation`: schema-qualified and quoted by PostgreSQL itself. Everything else is a parameter.

SQL elsewhere is generated text: what the AQL compiler makes (proxy/aql/compile) and the index advice on top of it.
tests/architecture/test_sql.py lists the modules that may hold any, with the reason.

Terms: *statement*: one query with the type of its rows; *relation*: the table of a collection's documents; *fragment*:
text that several statements share; *pre*, *post*: a migration before, and one after, PostgreSQL takes over.
"""

from sql.statements import (
    archive,
    auto_rollback,
    backfill,
    canary,
    carryover,
    collections,
    complete,
    control,
    coverage,
    documents,
    examples,
    explain,
    indexes,
    migration,
    mirror,
    missing_writes,
    modifications,
    out_of_band,
    outbox,
    promotion,
    promotion_gates,
    rehearsal,
    report,
    server,
    shadow,
    startup,
    states,
    store,
    stream_transactions,
    trace,
    transactions,
    uncovered,
    unique_indexes,
    writes,
)

__all__ = [
    "archive",
    "auto_rollback",
    "backfill",
    "canary",
    "carryover",
    "collections",
    "complete",
    "control",
    "coverage",
    "documents",
    "examples",
    "explain",
    "indexes",
    "migration",
    "mirror",
    "missing_writes",
    "modifications",
    "out_of_band",
    "outbox",
    "promotion",
    "promotion_gates",
    "rehearsal",
    "report",
    "server",
    "shadow",
    "startup",
    "states",
    "store",
    "stream_transactions",
    "trace",
    "transactions",
    "uncovered",
    "unique_indexes",
    "writes",
]
