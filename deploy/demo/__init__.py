"""The local stack (`crossfade dev`) and the demo (`crossfade demo`). They use the product as its users do: by HTTP, by
commands, by SQL.

    cli             the two commands
    scenario        the steps of the demo, each asserted
    demo_options    how the demo runs; harness: the parts that the steps use, made once
    operator_steps  what the operator does; cli_runner: commands, run and printed
    measurements    figures of proxy and clients; waiter: waiting, while servers and clients are watched
    databases       questions to both databases; db_checks: read and compared without any product code
    reporter        what the demo prints; result_table: what must be true at the end, and the table of it
    client          one client of live traffic; traffic: all of them; traffic_stats: what they count
    expected_state  what a client knows to be right; read_load: reads without a pause
    service         what the résumé service does, by an unmodified python-arango
    records         real records that packages ship; fake_data: a history, the same for the same seed
    loader          both, straight into ArangoDB
    stack           PostgreSQL, a development ArangoDB, the proxy; postgres: an embedded PostgreSQL
    loopback        HTTP proxies of the environment do not apply to servers of this machine
    child           a server's process; supervisor: ends it when the parent ends

Terms: *step*: one part of the demo, which asserts what it shows. *Stack*: the processes that run together on this
machine. *Supervised*: of a process, that it ends with its parent.
"""
