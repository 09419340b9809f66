"""Open intents by collection and key, and waiting for them."""

from __future__ import annotations

import asyncio

from proxy.journal.intent_index import IntentIndex, scopes_of


def test_names_that_cover_a_collection() -> None:
    assert scopes_of("db/c") == ("db/c", "db/*", "*")
    assert scopes_of("db/*") == ("db/*", "*")


def test_keys_are_pending_while_they_are_held() -> None:
    book = IntentIndex()
    book.begin("db/c", ("a", "b"))
    book.begin("db/c", ("a",))
    assert book.pending("db/c", ["x", "a"])
    assert not book.pending("db/c", ["x"])
    assert not book.pending("db/d", ["a"])
    book.end(1, "db/c", ("a", "b"))
    assert book.pending("db/c", ["a"])
    assert not book.pending("db/c", ["b"])
    book.end(2, "db/c", ("a",))
    assert not book.pending("db/c", ["a"])
    assert book.open_of("db/c") == 0


def test_what_the_journal_alone_knows_may_concern_every_key() -> None:
    book = IntentIndex()
    book.begin("db/c", ("a",))
    book.release_keys("db/c", ("a",))
    assert book.pending("db/c", ["x"])
    book.end(1, "db/c", ())
    assert not book.pending("db/c", ["x"])
    book.begin("db/*", ())
    book.release_keys("db/*", ())
    assert book.pending("db/c", ["x"])
    assert book.open_of("db/c") == 1
    assert not book.pending("other/c", ["x"])
    book.recovered({"*": 2, "other/c": 1})
    assert book.open_of("other/c") == 3
    assert book.open_of("db/c") == 3
    assert book.pending("other/d", ["x"])


def test_keys_that_become_known_are_held() -> None:
    book = IntentIndex()
    book.begin("db/c", ())
    assert book.pending("db/c", ["x"])
    book.add_keys("db/c", ("a",))
    assert not book.pending("db/c", ["x"])
    assert book.pending("db/c", ["a"])


def test_what_was_never_begun_harms_nothing() -> None:
    book = IntentIndex()
    book.end(1, "db/c", ("a",))
    book.end(2, "db/c", ())
    assert book.open_of("db/c") == 0


async def test_waiting_for_one_intent() -> None:
    book = IntentIndex()
    book.begin("db/c", ("a",))
    waiting = [asyncio.create_task(book.ended(1)) for _ in range(3)]
    await asyncio.sleep(0)
    assert book.has_waiters
    waiting[0].cancel()
    await asyncio.gather(waiting[0], return_exceptions=True)
    book.end(1, "db/c", ("a",))
    await asyncio.gather(*waiting[1:])
    assert not book.has_waiters
    alone = asyncio.create_task(book.ended(2))
    await asyncio.sleep(0)
    alone.cancel()
    await asyncio.gather(alone, return_exceptions=True)
    assert not book.has_waiters


async def test_catching_up_waits_for_what_was_open_then() -> None:
    book = IntentIndex()
    await book.caught_up("db/c", 1)
    book.begin("db/c", ("a",))  # 1
    book.begin("db/*", ())  # 2
    book.begin("db/other", ("a",))  # 3
    book.begin("db/c", ("b",))  # not in the journal: -1
    waiting = asyncio.create_task(book.caught_up("db/c", 4, -1))
    second = asyncio.create_task(book.caught_up("db/c", 4, -1))
    await asyncio.sleep(0)
    book.begin("db/c", ("a",))  # 4: later
    book.begin("db/c", ("a",))  # -2: later
    book.end(4, "db/c", ("a",))
    book.end(-2, "db/c", ("a",))
    book.end(1, "db/c", ("a",))
    book.end(2, "db/*", ())
    await asyncio.sleep(0)
    assert not waiting.done()
    book.end(-1, "db/c", ("b",))
    await asyncio.gather(waiting, second)
    assert not book.has_waiters
    assert book.open_of("db/other") == 1


def test_many_keys_of_one_intent_are_held_like_few() -> None:
    book, many = IntentIndex(), tuple(f"k{number}" for number in range(2_000))
    book.begin("db/c", many)
    book.begin("db/c", ("k7", "other"))
    book.begin("db/c", many)  # another write of the same
    assert book.pending("db/c", iter(["x", "k1999"]))
    assert book.pending("db/c", iter(["x", "other"]))
    assert not book.pending("db/c", ["x"])
    assert (book.held("db/c", "k7"), book.held("db/c", "k8"), book.held("db/c", "x")) == (3, 2, 0)
    book.end(1, "db/c", many)
    assert book.held("db/c", "k7") == 2
    book.release_keys("db/c", many)
    assert book.held("db/c", "k8") == 0
    assert book.pending("db/c", ["x"])  # the journal alone knows which
    book.end(3, "db/c", ())
    assert book.pending("db/c", ["k7"])
    assert not book.pending("db/c", ["k8"])
    book.begin("db/c", ())
    book.add_keys("db/c", many)
    assert not book.pending("db/c", ["x"])
    book.end(4, "db/c", many)
    book.end(2, "db/c", ("k7", "other"))
    assert book.open_of("db/c") == 0
    assert not book.pending("db/c", many)
