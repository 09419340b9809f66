"""PostgreSQL and ArangoDB as stores: one operation in, one outcome out.

base        the protocol of a store
arango      ArangoDB over HTTP, with the proxy's own account: comparison and repair read it
postgres    PostgreSQL: reads that it answers as ArangoDB would, under the fence if a client is served
"""
