"""The state of a development server, below everything that handles requests. It knows nothing of HTTP.

server         ServerState: databases, collections, clock, ticks, sessions, settings, the log
database       ServerDatabase: collections by name
collection     Collection: encoded documents ordered by key, and their properties
checksum       the checksum of a document
locks          Locks of stream transactions, and the errors of requests that meet one
indexes        indexes of a collection: definitions and unique values
sessions       what outlives a request: cursors, asynchronous jobs, replication batches, dumps
transaction    stream transactions: private copies of collections, and the locks of what they wrote
running_query  queries that sleep
accounts       users, passwords, levels of access
user_documents the documents of `_users`, in which ArangoDB keeps them
log            the write-ahead log that `/_api/wal` reads

Terms: *tick*: the server's next number, for ids, keys and markers. *Marker*: an entry of the write-ahead log. *Fork*:
a transaction's private copy of a collection, which shares the documents' bytes. *Claim*: a value of a unique index
that a running transaction has written or removed.
"""
