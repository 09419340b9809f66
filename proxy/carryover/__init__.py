"""State that PostgreSQL takes over from ArangoDB, beside the documents: accounts, and what each collection is.

server_reading       reads ArangoDB's identity, databases and accounts
account_plan         which accounts differ, and the entries that make them equal: pure
noted_rights         accounts as they were before promotions took rights: pure
account_copy         compares them with the catalog, and writes it
collection_handover  what a collection takes with it when PostgreSQL takes its writes: pure
group_handover       the collections of one promotion: prepared, compared while writes are held, taken
collection_taking    reads what that needs from both, and lets PostgreSQL take the writes
left_behind          what system collections hold that PostgreSQL does not serve: pure, but for reading it
promotion_gates      reads what the gates of a promotion look at, and judges
completion_gates     reads what the gates of a completion look at
shape_support        whether PostgreSQL alone answers what clients were seen to ask: pure
clock_reading        how far the clocks of ArangoDB and of the proxies are ahead of PostgreSQL's

The accounts are a mirror of ArangoDB's: what only PostgreSQL has is removed. ArangoDB stays the place where accounts
are changed until it has given up its first collection.

Terms: *handover*: what a collection takes with it: its properties, the revision and the number of a key above which
PostgreSQL continues. *Kept only*: of a property, that clients see it and that it has no effect on PostgreSQL.
"""
