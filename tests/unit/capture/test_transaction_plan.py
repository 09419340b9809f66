"""The buffer of a stream transaction."""

from __future__ import annotations

from proxy.capture.transaction_plan import Buffer, declared, state
from proxy.journal.intent import Intent
from proxy.journal.records import DocumentWrite
from proxy.model.operations import Change


def intent(seq: int, key: str = "a", collection: str = "shop/books") -> Intent:
    return Intent(seq, collection, DocumentWrite((key,)), 1)


def test_versions_are_kept_and_what_is_not_known_is_read_again() -> None:
    buffer = Buffer()
    assert buffer.empty
    first, second, third, fourth = (intent(seq) for seq in range(4))
    buffer.wrote(first, [Change("shop/books", "a", 1, b"{}")])
    buffer.keep([second, third])
    buffer.keep([fourth])
    assert (buffer.whole, buffer.again) == ([first], [second, third, fourth])
    assert (len(buffer.changes), buffer.size, buffer.empty) == (1, 2, False)
    assert buffer.intents == [first, second, third, fourth]


def test_beyond_its_bound_a_transaction_keeps_keys_alone() -> None:
    buffer = Buffer()
    for seq in range(3):
        buffer.wrote(intent(seq), [Change("shop/books", f"k{seq}", seq, b"x" * (3 << 20))])
    assert (buffer.whole, buffer.changes, buffer.size, len(buffer.again)) == ([], [], 0, 3)


def test_what_a_begin_declares() -> None:
    body = b'{"collections":{"write":["a","b"],"exclusive":"b","read":"c"}}'
    assert declared(body, "shop") == ("shop/a", "shop/b")
    assert declared(b'{"collections":{}}', "shop") == ()
    assert declared(b"nothing", "shop") == ()


def test_the_state_of_an_answer() -> None:
    assert state(b'{"code":201,"error":false,"result":{"id":"7","status":"running"}}') == ("7", "running")
    assert state(b'{"error":true}') == ("", "")
    assert state(b"") == ("", "")
