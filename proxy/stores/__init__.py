"""PostgreSQL and ArangoDB as stores: one operation in, one outcome out.

base        the protocol of a store
arango      ArangoDB over HTTP, with the proxy's account: for comparison and repair
postgres    PostgreSQL: reads with ArangoDB's answers, under the fence if they are for clients
"""
