"""The migration report (DESIGN section 10): facts, read once, and pure renderers of them.

cli          `crossfade report`
collect      reads the facts: PostgreSQL, ArangoDB, checksums of both sides
settings     configuration with secrets hidden, versions: pure
facts        the report as values, and what follows from them: pure
markdown, html   facts -> text: pure, the same for the same facts (JSON is the facts themselves)
format       how figures are written: pure
style        the page's style sheet
"""
