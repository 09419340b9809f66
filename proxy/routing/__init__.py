"""(Operation, Snapshot) -> Route: what happens to a request is decided here and nowhere else. Pure but for the parser's
worker process.

routes            the decision: by the facts of the endpoint's row; reads of documents by key
write_routes      a table: rule that an endpoint's row names -> the route of a write
query_routes      queries, by what they read and write
route             Route, Action, QueryFacts: the values
ownership         who carries out a request while some collections are promoted: ArangoDB or PostgreSQL
concerns          which collections a request concerns, as far as ownership depends on it
scope             which collections a request reads or may write
header_obstacles  headers that forbid capture and comparison, whatever the endpoint
share             which reads are among the percentage of a flip
query_facts       what a query's text shows, parsed once; very large texts are parsed in a worker process
query_shapes      a request without its literals (its fingerprint), by which coverage is counted

Terms: the *extent* of a query is what it may read beyond the collections that its text names. A *gap* is a request that
is neither captured nor compared, with the reason.
"""
