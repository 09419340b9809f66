"""The sidecar proxy: speaks ArangoDB's HTTP API, mirrors writes into PostgreSQL, compares reads, flips them over.

Imports run strictly downward, room by room (`.importlinter`, held by `tests/architecture`); rooms on one line do not
import each other:

    cli           the command `crossfade`: one module for each command
    app, admin    composition: the only places that construct things; the admin listener
    carryover/    what PostgreSQL takes over from ArangoDB beside the documents
    complete/     every endpoint from PostgreSQL alone: the development server's handlers over what is loaded on demand
    devserver/    the development ArangoDB server: a test double, and the local stack's origin
    operator/     what only commands need: status, mismatches, migrations, bundles
    gateway/      a request's path: dispatcher, reads served by PostgreSQL, authorization, service paths
    capture/      one module for each kind of write: what to ask ArangoDB for, and what its answer shows was written
    rehearsal/    writes decided a second time, by the rules of PostgreSQL alone, and compared with ArangoDB's answer
    replication/ shadow/ control/ reverse/
                  the mirror, from captured writes to PostgreSQL; comparison of reads; stages and how they change;
                  the mirror from PostgreSQL back to ArangoDB
    state/        the control row in PostgreSQL: compare-and-set, audit, marks and dead letters that end flips
    journal/      the write-ahead log of intents
    routing/ http/ stores/
                  (Operation, Snapshot) -> Route, pure; listener and upstream pool; one operation, two databases
    semantics/    the rules of ArangoDB's writes and their answers, which both stores follow: pure
    isolation/    worker processes with limits of time and memory
    wire/ aql/    HTTP <-> Operation; AQL: lexer, parser, analysis, evaluator, compiler to SQL
    model/        values that every room names
    base/         plumbing without domain: settings, errors, metrics, database, ArangoDB client, tasks

A read: http.listener -> wire.decode -> routing.routes -> gateway.dispatcher -> gateway.target_reads or the upstream ->
client; then, off the path, shadow.comparator -> shadow.readers -> shadow.diff -> shadow.result_store.
A write: http.listener -> wire.decode -> routing.routes -> capture.dispatch -> capture.kinds.<kind> -> journal,
upstream, client; then replication.mirror drains to PostgreSQL.

Terms, one meaning each:

    origin, target  ArangoDB; PostgreSQL
    stage           how far a collection has come: off, mirror, shadow, flipped
    epoch           one change of stages, taken through phases that every instance acknowledges
    intent          a journal record: this write was forwarded, and PostgreSQL may not have it yet
    mark            a collection may have missed a write: it needs a verification
    dead letter     a version of a document that PostgreSQL refused
    shape           a request without its literals (query fingerprint): what coverage is counted by
    gate            a condition of a flip: pass, fail, or inconclusive
    fence           the condition inside a statement that makes a read of PostgreSQL fail if the lease or stage changed
"""

__version__ = "0.1.0"
