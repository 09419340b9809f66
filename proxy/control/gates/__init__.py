"""Conditions of a flip, a promotion and a completion: Evidence -> gates, each pass, fail or inconclusive. Pure.

gate_types     Evidence, GateLimits, Gate, GateRule: frozen values
promotion_evidence what only the gates of a promotion look at
completion_evidence what only the gates of a completion look at
gates          all gates of a change of a collection, and which of them `--force` does not pass
rules          one module a gate; adding a module adds a gate
shape_text     query shapes in the answers of gates

Terms: *evidence*: what is known of a collection, read by `control.gate_inputs`. *Verdict*: pass, fail, or inconclusive
(too little evidence). *Remedy*: what an operator can do about a gate that does not pass.
"""
