"""The migration report (DESIGN section 10): facts, read once, and pure renderers for them.

cli          `crossfade report`
collect      reads the facts: PostgreSQL, ArangoDB, checksums of both sides
settings     configuration with hidden secrets, versions: pure
facts        the report as values, with verdicts and totals: pure
markdown, html   facts -> text: pure and deterministic (the JSON report is the facts themselves)
format       formats numbers, sizes, times and outcomes: pure
style        the page's style sheet

Terms: *fact*: a value that was read, before it is rendered; *orphan*: a document whose owner's row is gone.
"""
