"""What PostgreSQL alone answers of the shapes and gaps that proxies have counted."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from proxy.aql.shape import shape_of
from proxy.base.arango_client import view_collections
from proxy.carryover.shape_support import SeenRequests, ShapeUse, examine_shape, served_fact
from proxy.control.gates.gate_types import GapFact, ShapeFact
from proxy.control.gates.promotion_evidence import ServedFact
from proxy.routing.query_shapes import OTHER

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "names", "open_", "unsupported"),
    [
        ("FOR d IN orders FILTER d.x == 3 RETURN d", {"orders"}, False, ()),
        ("FOR d IN orders FILTER d.x == 3 ? true : d.y == 4 RETURN d.a[? 2 FILTER CURRENT > 3]", {"orders"}, False, ()),
        ("FOR d IN @@c FILTER d.n IN [1, 2] LIMIT 3, 7 RETURN {a: 1, 'b c': -2}", set(), False, ()),
        ("FOR a IN @@c FOR b IN @@d RETURN [a, b]", set(), True, ()),
        ("WITH a FOR v IN 1..2 OUTBOUND 'a/1' e RETURN v", {"a", "e"}, False, ()),
        ("FOR v IN 1..2 OUTBOUND 'a/1' GRAPH 'g' RETURN v", set(), True, ()),
        ("RETURN DOCUMENT(@id)", set(), True, ()),
        ("UPSERT @search INSERT {n: 1} UPDATE {n: 2} IN orders", {"orders"}, False, ()),
        ("FOR d IN view SEARCH d.x == 3 RETURN d", {"view"}, False, ("SEARCH",)),
        ("FOR d IN FULLTEXT(orders, 'a', 'b') RETURN d", {"orders"}, False, ("function FULLTEXT",)),
        ("FOR d IN orders SORT GEO_DISTANCE([1, 2], d.l) RETURN d", {"orders"}, False, ("function GEO_DISTANCE",)),
        ("FOR d IN orders RETURN MY::OWN(d)", {"orders"}, False, ("user-defined function",)),
    ],
)
def test_a_shape_shows_what_it_uses(text: str, names: set[str], open_: bool, unsupported: tuple[str, ...]) -> None:
    assert examine_shape(shape_of(text)) == ShapeUse(frozenset(names), open_, unsupported)


def test_a_shape_that_was_cut_is_not_analysed() -> None:
    assert examine_shape("FOR d IN orders FILTER d . x ==") is None


def query(text: str, **more: Any) -> ShapeFact:
    return ShapeFact("7f3a", shape_of(text), 12, 10, 10, **more)


def of(*shapes: ShapeFact, moving: tuple[str, ...] = (), **more: Any) -> ServedFact:
    seen = {"gaps": (), "same_shape": {}, "passed": {}, **more}
    return served_fact(SeenRequests("shop/orders", shapes, **seen), {"shop/orders", *moving})


def gap(endpoint: str, effect: str) -> GapFact:
    return GapFact(endpoint, effect, 4, NOON)


PLAIN = query("FOR d IN orders FILTER d.x == 3 RETURN d")
JOIN = query("FOR d IN orders FOR c IN customers FILTER c._key == d.c RETURN c")
READ = ShapeFact("document.read", "document.read", 9, 9, 9)


def test_what_postgresql_answers_is_only_counted() -> None:
    assert of(PLAIN, READ, gaps=[gap("cursor.create", "stream transaction")]) == ServedFact(3)


@pytest.mark.parametrize(
    ("shape", "found"),
    [
        (query("FOR d IN orders FILTER GEO_DISTANCE([1, 2], d.l) < 3 RETURN d"), "function GEO_DISTANCE; 12 times"),
        (query("FOR d IN orders RETURN d", unsupported=1), "not supported; 12 times"),
        (ShapeFact("simple.near", "simple.near", 3, 0, 0), "simple.near (3 times)"),
    ],
)
def test_what_it_does_not_answer_is_named(shape: ShapeFact, found: str) -> None:
    served = of(shape, PLAIN)
    assert len(served.refused) == 1
    assert found in served.refused[0]
    assert (served.unknown, served.together) == ((), ())


def test_views_and_requests_that_it_refuses_are_named() -> None:
    served = of(views=["found"], gaps=[gap("transaction.js", "not captured")])
    assert served.refused == (
        "the view found has it: queries of the view read ArangoDB",
        "transaction.js: not captured (4 times)",
    )


def test_what_cannot_be_told_is_named() -> None:
    cut = ShapeFact("99", "FOR d IN orders FILTER d . x ==", 5, 0, 0)
    answered = ShapeFact("98", "FOR d IN orders FILTER d . x ==", 5, 3, 3)
    served = of(
        cut,
        answered,
        ShapeFact(OTHER.name, OTHER.text, 7, 0, 0),
        gaps=[gap("cursor.create", "cursor.create: the query is not understood"), gap("other", "more kinds")],
        passed={"foxx": 2, "version": 9},
        services=["Foxx services of shop (1)"],
    )
    assert served.refused == ()
    assert [text.partition(" (")[0] for text in served.unknown] == [
        "Foxx services of shop",
        "FOR d IN orders FILTER d . x ==",
        OTHER.text.partition(" (")[0],
        "cursor.create: cursor.create: the query is not understood",
        "other: more kinds",
        "Foxx may use it",
    ]


def test_a_query_with_a_collection_that_arangodb_keeps_is_named() -> None:
    (text,) = of(JOIN).together
    assert text.endswith("also uses shop/customers (12 times)")
    assert of(JOIN, moving=("shop/customers",)).together == ()


def test_collections_that_bind_variables_name_are_those_that_were_counted_with_it() -> None:
    bound = query("FOR d IN @@a FOR c IN @@b RETURN [c, d]")
    assert of(bound, same_shape={"7f3a": ["shop/other"]}).together[0].endswith("also uses shop/other (12 times)")
    assert of(bound).together == ()
    # one bound collection: another query of the same shape uses the other one
    assert of(query("FOR d IN @@a RETURN d"), same_shape={"7f3a": ["shop/other"]}).together == ()


def test_an_exempt_shape_is_not_judged() -> None:
    assert of(query("FOR d IN orders RETURN MY::OWN(d)", exempt="a report that ends soon")).refused == ()


def test_a_view_has_the_collections_that_it_links() -> None:
    assert view_collections({"type": "arangosearch", "links": {"b": {}, "a": {}}}) == ("a", "b")
    assert view_collections({"type": "search-alias", "indexes": [{"collection": "a", "index": "i"}]}) == ("a",)
