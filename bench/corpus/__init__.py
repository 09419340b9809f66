"""Measures how much of AQL is supported, on any file of queries: `make corpus CORPUS=path`, `python -m bench.corpus`.

A line of the file is {"id", "query", "bind_vars": [names], "kind": "read" | …, "tier": number}. Each query is parsed,
printed and parsed again; evaluated over documents that are made for it; compiled, run on a real PostgreSQL that holds
the same documents, and its rows compared with the evaluator's. Beside the file, `aql.jsonl` ({"name", "query",
"result"}) holds answers that a real server gave: they are evaluated as they are, and again with every literal moved
into a stored document.

    holes      unknown values, and what a query asks of them
    infer      query -> holes: attributes of documents, bind variables, edges, ids
               (expressions: what the expressions imply)
    world      holes -> documents and bind variables, in several ways
    evaluated  a query run over a world in memory
    literals   a query with its literals moved into a document
    writes     queries that write executed on PostgreSQL alone, as a proxy does
    postgres   a world in PostgreSQL, compiled statements run on it
    measure    one query, one verdict
    __main__   the command
    fuzz       mutants of the queries: a result or an error, never a crash or a hang
"""
