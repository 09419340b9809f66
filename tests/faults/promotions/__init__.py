"""Promotions and demotions at random moments under clients that check every answer: `make promotes`.

    scenarios   which fault is brought about at which step: data
    stack       ArangoDB, PostgreSQL, two proxies and the command as processes, each with lines that can be cut
    faults      brings a fault about, and ends it
    control     what the control row and its neighbours may show at any moment, and at rest: pure, but for `read`
    judgement   both databases, read directly, against each other and against what clients know: pure, but for `read`
    rounds      one scenario: clients beside rounds of a promotion and a demotion; then the judgement
    run         the program, and its table

The clients are those of tests/faults/oracle.py: eight of them, through both proxies, one writer for each key. Each
scenario must show no violation (I7: what was acknowledged or shown is not lost, and not undone; revisions never go back
and never come twice) and no illegal state.
"""
