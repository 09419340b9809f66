"""The kinds of writes, one module each; a module here is a kind by its `KIND`, and nothing else lists it.

The row of an endpoint (`wire.endpoints`) names its kind by the name of the module (`capture`), and the rule that routes
it (`write_route`); a name without a module is an error when the proxy starts. To add one: write a module with its
`KIND` here, with a plan on top and `async with context.write(...)` below, and its row in `tests/faults/write_kinds.py`.

Terms: *kind*: the writes that are carried out in the same way, whatever their endpoints; *in a transaction*: as a part
of the stream transaction that the headers name, whose end decides what PostgreSQL gets.
"""
