"""(Operation, Snapshot) -> Route: what happens to a request is decided here and nowhere else. Pure but for the parser's
worker process.

routes         the decision: which side answers, how a write is captured, what is compared
query_facts    what a query's text says, parsed once; very large texts are parsed in a worker process
query_shapes   a request without its literals: what coverage is counted by
"""
