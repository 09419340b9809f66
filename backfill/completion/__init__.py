"""`crossfade complete`: the end of a move, and the certificate that documents it.

cli               the command
sides             reads both databases in key order, and compares them document by document
gate_evidence     what the gates look at: PostgreSQL, ArangoDB, both sides, the final archive
certificate       the certificate as values, with its verdict and its JSON: pure
certificate_page  the certificate as one self-contained HTML page: pure

Terms: *side*: a database, read directly, without a proxy. *At rest*: the moment of a completion in which both databases
have the same documents and nobody writes; a snapshot of PostgreSQL is kept of it, and ArangoDB stays as it was then.
*Certificate*: what a completion rests on, with the checksums of both sides at rest.
"""
