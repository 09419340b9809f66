"""Faults of proxies and of PostgreSQL while PostgreSQL answers everything (`python -m tests.faults.alone`).

    memory     what clients know of the documents that they write, from the answers that they got: pure
    judgement  memory against what PostgreSQL has, read by SQL
    clients    clients that write in every way, and remember
    disasters  the faults: kills, crashes, cut connections, a new timeline
    stack      one PostgreSQL and several proxies as processes
    run        the program: clients beside faults, then the judgement
    races      many clients insert equal unique values through two proxies

Terms: an *attempt* is one request that writes, or a stream transaction, with what it would change. It is *settled* if
its answer states whether it happened, and *open* if its answer was lost; a client never uses the keys of an open
attempt again.
"""
