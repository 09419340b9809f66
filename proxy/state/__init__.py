"""The control row in PostgreSQL, the one authority on stages: reading it, changing it, and the audit.

control_row     compare-and-set transactions, used by operators' commands and by instances that rejoin
codec           snapshots and transitions <-> JSON, as tables and state directories keep them; pure
audit           who changed what and why: rows chained by hash, written in the change's own transaction
missing_writes  marks and dead letters, written only together with the end of the flips that they concern

Terms: *generation*: the row's version, one more with every change. *Compare-and-set*: a change names the generation
that it saw, and fails if another change came first.
"""
