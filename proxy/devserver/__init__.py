"""The development ArangoDB server: ArangoDB's API over memory, for tests, the demo and the local stack.

serve       one store as an HTTP server: `python -m proxy.devserver.serve`
store/      the store: one module a group of operations
auto_flip   the local stack's default stage `flipped`: new collections are flipped before their answer leaves
repro_run   reproduces the mismatch of a bundle in a new store

Terms: *snapshot*: here, the whole server in files. *Bundle*: a mismatch with all that reproduces it
(`operator.repro_bundle`).
"""
