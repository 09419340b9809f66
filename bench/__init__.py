"""Benchmarks: each prints a ratio against something measured in the same run.

proxy.py    the proxy compared with nginx and a naive proxy: `python -m bench.proxy`
stub.py     a fast stand-in for ArangoDB       load.py    a closed-loop load generator
bare.py     listener and upstream alone        naive.py   the same, awaiting one upsert per write
postgres_alone.py  a proxy over PostgreSQL alone beside statements by hand; http_client.py: its client
alone_results.py   memory and time of large results, queries and bodies; alone_operations.py: which
reverse.py  what the reverse mirror carries to ArangoDB, its lag, an outage of ArangoDB
process.py  processes to measure: CPU and memory from /proc
"""
