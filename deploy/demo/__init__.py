"""The local stack (`crossfade dev`) and the demo (`crossfade demo`). It uses the product as its users do: by HTTP, by
the command line, by SQL.

    cli          the two commands
    scenario     the steps of the demo, each asserted      verbs     the command line, as an operator types it
    harness      what the steps are made of
    result_table what must be true at the end, the table
    client       one client of live traffic                traffic   all of them     tally   what they count
    expected_state what a client knows to be right           sweep     reads, as fast as it goes
    service      what the résumé service does, by an unmodified python-arango
    records      real records that packages ship           generated a history, the same for the same seed
    loader       both, straight into ArangoDB
    db_checks    both databases read and compared without any product code
    stack        PostgreSQL, a development ArangoDB, the proxy
    postgres     an embedded PostgreSQL                    child, warden   processes that never outlive us
"""
