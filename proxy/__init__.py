"""The sidecar proxy: speaks ArangoDB's HTTP API, mirrors writes into PostgreSQL, compares reads, flips them over.

Imports run strictly downward by layer; `tests/architecture` and `make lint` hold them to it.

    layer 5   cli         the command `crossfade`; app, admin: composition, the only places that construct things
    layer 4   dispatch    carries out a Route; serve: one store as a server
              writing/    how each kind of write is carried out
    layer 3   mirror/     journal, capture, apply, repair: whatever ArangoDB took is in PostgreSQL in the end
              shadow/     runner, compare, ledger: off the path, a verdict is never a race
              cutover/    controller, lease, audit (and stages, layer 0; gates, layer 1)
    layer 2   routing     (Operation, Snapshot) -> Route, pure
              http/       listener and upstream pool, on httptools and h2
              stores/     base, arango, postgres, memory: one operation, many stores
    layer 1   wire/       routes, decode, encode, auth: HTTP <-> Operation
              aql/        lexer, parser, analysis, evaluator, compiler to SQL
              config, metrics, database (asyncpg), ports, tasks
              isolation/  work in processes of its own, within limits; what may take long runs nowhere else
    layer 0   operations, revision, documents, errors, cutover.stages

A read: listener -> wire.decode -> routing -> dispatch -> primary store -> client, then off the path
shadow.runner -> other store -> compare -> ledger. A write: listener -> wire.decode -> routing -> dispatch:
journal.intend -> mirror.capture -> origin -> journal -> client; mirror.apply drains to PostgreSQL.
"""

__version__ = "0.1.0"
