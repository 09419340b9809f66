"""Conditions of a flip, as pure functions: Evidence -> gates, each pass, fail or inconclusive.

gate_types     Evidence, Limits, Gate: frozen values, no rules
gates          all gates of a collection, and which of them `--force` cannot pass
shape_gates    what the shadow saw: mismatches, rechecks, every shape, latency
origin_gates   what is outside the proxies: out-of-band writers, ArangoDB's readiness

To add a gate: write a function here, list it in `gates`, and add what it judges to `gate_types.Evidence`.
"""
