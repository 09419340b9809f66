"""Code that only operators' commands need; no request passes through it.

status, states   what `crossfade status` shows; what every instance exports for dashboards
shapes           coverage by shape, and exemptions
mismatches       confirmed mismatches: listed, marked as repaired or ignored
repro_bundle     one mismatch as a file; replay: recorded reads to send again
origin_connection  connections of a command to ArangoDB
out_of_band      documents of out-of-band writes
rules_admin      tolerances and sampling, listed and changed
index_building   creates indexes concurrently, with progress
migrate          applies `sql/migrations`
reference        pages of docs/ that are generated from code: settings, gates, metrics

Terms: *shape*: the reads that differ in values only, counted together. *Exempt*: of a shape, that the gates ignore it.
*Bundle*: all that is needed to reproduce a mismatch elsewhere. *Tolerance*: a rule by which a difference does not
count.
"""
