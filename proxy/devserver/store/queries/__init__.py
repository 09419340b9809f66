"""AQL over the collections of a server.

execution     runs a query: answers what the evaluator asks for, undoes the writes of a query that fails
primary_scan  queries that ArangoDB answers from its primary index, in byte order of keys
plan          the plan and the profile of a query, as they are shown
syntax_tree   a query's tree, as `/_api/query` prints it
slow_queries  which queries are remembered as slow

Terms: *fetch*, *write*: what the evaluator (`aql.evaluate`) asks this package for. *Undo*: the versions that are put
back if the query fails; an *intermediate commit* keeps what was written before it.
"""
