"""PostgreSQL answers everything: a store for every endpoint, without ArangoDB.

The handlers of the development server (proxy/devserver/store/handlers) run here over a *view* of the server's state,
which is made for one request. What the view lacks is a *miss*. A *pass* is one run of the handler: in a speculative
pass misses are noted and answered as absent, then they are loaded, and the handler runs again, until a pass has no
miss. The difference that this pass made is written in one PostgreSQL transaction. Document writes and reads have fast
ways beside this.

store            CompleteStore: which way an operation takes, asynchronous requests
commands         the table of commands: the development server's, except what PostgreSQL does not do
large_writes     arrays of documents and imports that are too large for memory
packed_bodies    large bodies of VelocyPack, as JSON
fast_ways        operations that need no view: document writes, reads
modifying_queries AQL that writes
query_tracking   queries while they run, and slow ones
query_profiles   what the option `profile` adds to an answer
transaction_requests stream transactions: the requests about them, and within them
requests_in_snapshot simple requests within them, without a view
stream_transactions those of this process: begun, ended, limited
pinned_transaction one of them: its session, locks and snapshot
promotion_fence  the fence of promoted collections, beside a store of ArangoDB
failures         the answer if PostgreSQL fails
general_way      one operation over a view, in attempts, until one meets no other request
view_attempt     one attempt: its passes and its transaction
loading          reads what a pass missed, locks what it writes
persisting       writes the difference
count_requests   the count of a collection, by one statement
counts           puts together what triggers note of counts
expiry           removes what TTL indexes have expired
index_builds     the state of indexes that are being built
query_indexes    indexes of PostgreSQL for those that clients create
server_view      ServerView: the state of one request
lazy_collections the collections of a database, copied for a pass if it touches them
catalog_changes  how a pass has changed the catalog: pure
collection_view  CollectionView: a collection whose documents are loaded on demand
demand_entries   the entries of a unique index, of which a part is loaded
loaded_part      what was loaded of a collection, what a pass missed, what it changed
catalog          databases, collections, accounts: as entries in PostgreSQL and as values: pure
adoption         entries of collections that came from ArangoDB: pure
catalog_storage  the entries in PostgreSQL: read and written
catalog_cache    the present catalog, read again when its version has changed; numbers for new things

Terms: *attempt*: one transaction of PostgreSQL with its passes; *speculative*: of a pass, that a miss does not end it,
so that it finds all of them. *Catalog*: databases, collections, indexes and accounts, with a version that every change
raises. *Way*: the path that an operation takes: a fast one for the frequent operations, the general one for all
others. *Adopted*: of a collection, that it came from ArangoDB.
"""

from proxy.complete.store import CompleteStore
from proxy.complete.stream_transactions import TransactionLimits

__all__ = ["CompleteStore", "TransactionLimits"]
