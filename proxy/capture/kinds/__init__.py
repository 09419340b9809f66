"""The kinds of writes, one module each; a module here is a kind by its `KIND`, and nothing else lists it.

The row of an endpoint (`wire.endpoints`) names its kind by the name of the module (`capture`), and the rule that routes
it (`write_route`); a name without a module is an error when the proxy starts. To add one: write a module with its
`KIND` here, with a plan on top and `async with context.write(...)` below, and its row in `tests/faults/write_kinds.py`.
"""
