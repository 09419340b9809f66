"""PostgreSQL and ArangoDB as stores: one operation in, one outcome out.

base        the protocol of a store
arango      ArangoDB over HTTP, with the proxy's account: for comparison and repair
postgres    PostgreSQL: reads with ArangoDB's answers, under the fence if they are for clients

Terms: *store*: what executes an operation and returns its outcome; *fence*: the condition in a statement that the
control plane still allows the read.
"""
