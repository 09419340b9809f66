"""What system collections hold that PostgreSQL alone does not serve, by name."""

from __future__ import annotations

from proxy.carryover.left_behind import DatabaseContents, left_behind


def test_what_every_database_has_is_not_named() -> None:
    system = {"_graphs": 0, "_analyzers": 0, "_queues": 1, "_apps": 0}
    assert left_behind(DatabaseContents("shop", system), ()) == ()


def test_what_clients_have_put_there_is_named() -> None:
    system = {"_graphs": 2, "_analyzers": 1, "_aqlfunctions": 3, "_queues": 2, "_jobs": 4}
    contents = DatabaseContents("shop", system, ("search", "links"))
    named = (
        "custom analyzers: 1 in shop/_analyzers",
        "user-defined AQL functions: 3 in shop/_aqlfunctions",
        "jobs of Foxx queues: 4 in shop/_jobs",
        "Foxx queues: 2 in shop/_queues",
        "views of shop: search, links",
    )
    assert left_behind(contents, ("shop/_graphs",)) == named
    assert left_behind(contents, ()) == ("2 graph definitions: mirror shop/_graphs to keep them", *named)
