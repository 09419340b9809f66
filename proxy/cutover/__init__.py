"""Stages and how collections move through them: epochs, leases, gates, audit (DESIGN section 9).

stages      values: stage, phase, standing, snapshot; which moves there are (layer 0)
findings    values: Evidence, Limits, Gate (layer 1)
gates       Evidence -> gates, three-valued, pure; which of them no --force goes past. shape_gates, outside_gates: more
evidence    reads the Evidence of a collection from PostgreSQL, looks at ArangoDB; thresholds: what it is measured by
shapes      coverage by shape for people: what to do about each, waivers
bypass      documents that were written around the proxies, for people
codec       snapshots and moves as JSON values
transitions what is common to both sides: the compare-and-set transactions of the control row
registry    the instance's statements: register, beat, deregister
bounded     statements with a time limit
readings    how reads on PostgreSQL went over the last seconds (pure)
statefile   what an instance keeps in its state directory: last snapshot, the mark `alone`, the file `origin-only`
lease       the instance's side of the protocol: heartbeat, snapshot, acknowledgements, rejoin
controller  the operator's side: an epoch begins, is acknowledged phase by phase, commits or aborts; evict
moves       what a change comes to: targets -> moves and phases (pure)
audit       who changed what, chained by hash
migrate     the schema
status      everything that `crossfade status` shows, in one value
"""
