"""The facts of a query's text before it is routed: understood, modifying, or known by its words alone."""

from __future__ import annotations

import json

import pytest

from proxy.routing.query_facts import PARSED, QueryFactsCache, by_words
from proxy.routing.route import QueryFacts


def body(query: str, **binds: object) -> bytes:
    return json.dumps({"query": query, "bindVars": binds}).encode()


def test_a_read_and_a_modification() -> None:
    facts = QueryFactsCache()
    read = facts.of(body("FOR b IN books FILTER b.n == @n RETURN b", n=1))
    assert read == QueryFacts(frozenset({"books"}), frozenset(), modifies=False, deterministic=True)
    write = facts.of(body("FOR b IN books REMOVE b IN @@c", **{"@c": "old"}))
    assert write is not None
    assert write.modifies
    assert write.writes == {"old"}
    again = facts.of(body("FOR b IN books REMOVE b IN @@c", **{"@c": "older"}))
    assert again is not None
    assert again.writes == {"older"}, "facts are kept by text and bound collections"


def test_values_that_name_collections_are_not_kept_with_the_text() -> None:
    facts = QueryFactsCache()
    text = "RETURN DOCUMENT(@id)"
    found = [facts.of(body(text, id=wanted)) for wanted in ("books/1", "authors/1", "books/2")]
    assert [one and (sorted(one.reads), one.understood) for one in found] == [
        (["books"], True),
        (["authors"], True),
        (["books"], True),
    ]


def test_a_limit_without_sort_takes_any_rows() -> None:
    found = QueryFactsCache().of(body("FOR b IN books LIMIT @n RETURN b", n=3))
    assert found is not None
    assert (found.deterministic, found.takes_any) == (False, True)


@pytest.mark.parametrize(
    ("text", "reads", "dynamic"),
    [
        ("FOR v IN 1..2 OUTBOUND 'a/1' GRAPH 'g' RETURN v", {"_graphs"}, True),
        ("FOR v IN 1..2 OUTBOUND 'a/1' knows RETURN v", {"knows"}, True),
        ("WITH people FOR v IN 1..2 OUTBOUND 'people/1' knows RETURN v", {"people", "knows"}, False),
        ("RETURN DOCUMENT('people/1')", {"people"}, False),
        ("FOR p IN people RETURN DOCUMENT(p.friend)", {"people"}, True),
    ],
)
def test_what_a_text_does_not_tell_of_its_collections_is_said(text: str, reads: set[str], dynamic: bool) -> None:
    """I10: of a graph the collections of vertices stand nowhere in the text, nor do those of a computed id."""
    facts = QueryFactsCache().of(body(text))
    assert facts is not None
    assert (facts.understood, set(facts.reads), facts.dynamic) == (True, reads, dynamic)


@pytest.mark.parametrize("text", ["FOR b IN books RETURN", "", "RETURN @missing", "FOR b IN SELECT"])
def test_what_cannot_be_parsed_and_cannot_write_is_not_understood(text: str) -> None:
    facts = QueryFactsCache().of(body(text))
    assert facts is not None
    assert not facts.understood
    assert not facts.modifies


@pytest.mark.parametrize("text", ["insert {} into", "FOR b IN books UpDaTe", "\\u0049NSERT {} INTO books )"])
def test_what_cannot_be_parsed_and_may_write_is_nothing_at_all(text: str) -> None:
    assert QueryFactsCache().of(b'{"query":"' + text.encode() + b'"}') is None
    assert by_words(b"not JSON: " + text.encode()) is None


def test_a_wrong_bind_does_not_stick_to_the_text() -> None:
    facts = QueryFactsCache()
    text = "FOR b IN books FILTER b.n == @n RETURN b"
    missing = facts.of(body(text))
    assert missing is not None
    assert not missing.understood
    right = facts.of(body(text, n=1))
    assert right is not None
    assert right.understood


def test_a_huge_text_is_never_parsed_on_the_loop() -> None:
    """I2: every other client would wait for it."""
    huge = "FOR b IN books FILTER b.x IN [" + "1," * PARSED + "1] RETURN b"
    facts = QueryFactsCache().of(body(huge))
    assert facts is not None
    assert not facts.understood
    assert QueryFactsCache().of(body(huge.replace("RETURN b", "REMOVE b IN books"))) is None


def test_nothing_is_parsed_where_nothing_is_mirrored() -> None:
    facts = QueryFactsCache().of(body("FOR b IN books RETURN b"), matters=False)
    assert facts is not None
    assert facts.reads == frozenset()


@pytest.mark.parametrize("text", ["FOR b IN `100019` RETURN b", "FOR b IN books INSERT b INTO `100019`"])
def test_a_collection_by_its_number_is_not_understood(text: str) -> None:
    """I10: which collection has the number only ArangoDB knows, so that the query may touch any."""
    facts = QueryFactsCache().of(body(text))
    assert facts is not None
    assert (facts.understood, facts.writes) == (False, frozenset())
    bound = QueryFactsCache().of(body("INSERT {} INTO @@c", **{"@c": "100019"}))
    assert bound is not None
    assert (bound.modifies, bound.understood, bound.writes) == (True, False, frozenset())
