"""The gates, one module each; a module with a `GATE` is a gate, and nothing else lists it.

position: where an operator comes across it. To add one: write a module with its `GATE` here, and its cases in
`tests/unit/control/gates/`. It judges what `gate_types.Evidence` holds.
"""
