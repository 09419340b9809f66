"""The pure parts of modifications on PostgreSQL: what is known of a collection, and the numbers of its new keys."""

from __future__ import annotations

import orjson
import pytest

from proxy.aql.requests import Fetch
from proxy.stores.postgres.modifications.known_documents import KnownDocuments
from proxy.stores.postgres.modifications.query_collection import QueryCollection
from proxy.stores.postgres.modifications.reserved_numbers import NumberRange, NumbersNeeded, ReservedNumbers
from proxy.stores.postgres.writes.properties import parse_properties


def raw(key: str, **values: object) -> bytes:
    return orjson.dumps({"_key": key, "_id": f"c/{key}", "_rev": "_a", **values})


def by_value(value: object) -> Fetch:
    return Fetch("c", ((("n",), value),))


def collection(known: KnownDocuments) -> QueryCollection:
    return QueryCollection(
        "c",
        edge=False,
        properties=parse_properties("{}"),
        known=known,
        revisions=iter(range(100)),
        numbers=NumberRange(),
        random_keys=[],
        holders={},
    )


async def test_keys_that_a_fetch_did_not_find_are_known_to_be_absent() -> None:
    known = KnownDocuments()
    assert known.find(Fetch("c", keys=("a", "b"))) is None
    await known.add_fetch(Fetch("c", keys=("a", "b")), [raw("a")])
    assert known.find(Fetch("c", keys=("a", "b"))) == ["a"]
    assert "b" in known
    assert known.find(Fetch("c", keys=("a", "no/key"))) == ["a"]
    assert known.find(Fetch("c", keys=("c",))) is None


async def test_a_scan_answers_every_fetch() -> None:
    known = KnownDocuments()
    await known.add_fetch(Fetch("c"), [raw("a", n=1), raw("b", n=1.0), raw("d", n=True)])
    assert list(known.find(by_value(1)) or ()) == ["a", "b"]
    assert known.find(Fetch("c", keys=("z",))) == []
    assert sorted(known.find(Fetch("c")) or ()) == ["a", "b", "d"]


async def test_fetches_that_are_read_together_get_their_documents_apart() -> None:
    known = KnownDocuments()
    await known.add_fetches([by_value(1), by_value("x")], [raw("a", n=1), raw("b", n="x")])
    assert known.find(by_value(1)) == ["a"]
    assert known.find(by_value("x")) == ["b"]
    assert known.find(by_value(2)) is None


async def test_a_run_sees_what_it_has_written() -> None:
    known = KnownDocuments()
    await known.add_fetches([by_value(1), by_value(2)], [raw("a", n=1), raw("b", n=1)])
    run = collection(known)
    assert [one["_key"] for one in run.documents(by_value(1)) or ()] == ["a", "b"]
    run.put("a", raw("a", n=2), {"_key": "a", "_rev": "_a", "n": 2}, 1)
    run.remove("b", 2)
    run.put("d", raw("d", n=2), {"_key": "d", "_rev": "_a", "n": 2}, 3)
    assert [one["_key"] for one in run.documents(by_value(2)) or ()] == ["a", "d"]
    assert [one["n"] for one in run.documents(by_value(1)) or ()] == [2]  # more than asked for is allowed
    assert run.documents(Fetch("c", keys=("b",))) is None or run.documents(Fetch("c", keys=("b",))) == []
    assert [(change.key, change.stored) for change in run.changes()] == [("a", True), ("b", True), ("d", False)]


async def test_a_key_that_is_assumed_to_be_free_is_no_longer_once_it_was_read() -> None:
    known = KnownDocuments()
    known.assume_absent("a")
    assert "a" in known
    await known.add_fetch(Fetch("c", keys=("a",)), [raw("a")])
    assert known.assumed == set()
    assert known.find(Fetch("c", keys=("a",))) == ["a"]


@pytest.mark.parametrize(
    ("numbers", "keys", "needed"),
    [
        (NumberRange(5, 7, 7), (None, None), None),
        (NumberRange(5, 7, 7), (None, None, None), NumbersNeeded(3, 0)),
        (NumberRange(5, 5, 9), ("8",), None),
        (NumberRange(5, 5, 9), ("12",), NumbersNeeded(0, 12)),
        (NumberRange(5, 7, 7), (None, "12"), NumbersNeeded(1, 12)),
        (NumberRange(5, 5, 9), ("8", None), NumbersNeeded(1, 8)),
    ],
)
def test_numbers_of_keys_are_sufficient_or_must_be_taken(
    numbers: NumberRange, keys: tuple[str | None, ...], needed: NumbersNeeded | None
) -> None:
    generator = ReservedNumbers({}, numbers, [])
    for key in keys:
        generator.make() if key is None else generator.check(key)
    assert generator.needed == needed


def test_random_keys_are_made_once() -> None:
    made: list[str] = []
    first = ReservedNumbers({"type": "uuid"}, NumberRange(), made)
    again = ReservedNumbers({"type": "uuid"}, NumberRange(), made)
    keys = [first.make(), first.make()]
    assert [again.make(), again.make()] == keys
    assert again.make() not in keys
    assert again.needed is None
