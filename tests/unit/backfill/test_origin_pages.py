"""Decoding of ArangoDB's responses: bytes are kept, order is checked."""

from __future__ import annotations

import pytest

from backfill.origin_pages import DOCUMENTS, OriginDisorder, check_order, decode, document, elements, revision
from proxy.base.errors import ArangoError, UpstreamOutcomeUnknown


def test_documents_keep_their_bytes() -> None:
    printed = b'{"z":1.0,"_key":"a","_id":"c/a","_rev":"_l6zhVTW--A","n":-0,"t":"\\u0000","_rev2":18446744073709551616}'
    [raw] = decode(DOCUMENTS, b'{"result":[' + printed + b'],"hasMore":false}').result
    found = document(raw)
    assert (found.key, found.rev, found.raw) == ("a", 1872607071780732930, printed)


def test_an_invalid_revision_fits_a_bigint() -> None:
    assert revision("not a revision!") == (1 << 63) - 1


@pytest.mark.parametrize("keys", [["b", "a"], ["a", "a"], ["B", "a", "C"], ["0"], ["a", "z"]])
def test_pages_in_another_order_are_refused(keys: list[str]) -> None:
    with pytest.raises(OriginDisorder, match="byte order"):
        check_order(keys, "0", "y", "shop/carts")


def test_pages_in_byte_order_pass() -> None:
    check_order(["A", "Z", "_", "a"], "", None, "shop/carts")


def test_unexpected_responses_are_errors() -> None:
    with pytest.raises(UpstreamOutcomeUnknown):
        decode(DOCUMENTS, b'{"result":{}}')
    with pytest.raises(UpstreamOutcomeUnknown, match="1 documents for 2 keys"):
        elements(b'[{"_key":"a","_rev":"_a"}]', ["a", "b"])
    with pytest.raises(ArangoError, match="could not read the key a"):
        elements(b'[{"error":true,"errorNum":1205}]', ["a"])


def test_a_document_with_an_attribute_error_is_a_document() -> None:
    found = elements(b'[{"_key":"a","_rev":"_a","error":true,"errorNum":"x"}]', ["a"])
    assert found["a"] is not None


@pytest.mark.parametrize(
    "odd", [rb"\ud800", rb"\uDFFF x", rb"\ud83d\ude00 \udc00", rb"\\ud800 \ud800", rb"\ud800\u0041"]
)
def test_lone_surrogates_of_old_data_are_kept_byte_for_byte(odd: bytes) -> None:
    """The JSON decoder refuses such text, but one such document must not make a page unreadable."""
    raws = [
        b'{"_key":"a","_rev":"_kNo8DHm---","v":1}',
        b'{"_key":"b","_rev":"_kNo8DHm---","v":"' + odd + b'"}',
        b'{"_key":"c","_rev":"_kNo8DHm---","' + odd + b'":{}}',
    ]
    page = decode(DOCUMENTS, b'{"result":[' + b", ".join(raws) + b'],"hasMore":true,"id":"7"}')
    assert [bytes(raw) for raw in page.result] == raws
    assert (page.more, page.id) == (True, "7")
    assert [document(raw).key for raw in page.result] == ["a", "b", "c"]
    found = elements(b"[" + b",".join(raws) + b"]", ["a", "b", "c"])
    assert [one.raw for one in found.values() if one is not None] == raws


def test_invalid_responses_with_lone_surrogates_are_errors() -> None:
    for body in (b'{"result":[', b'{"result":["\\ud800"', b'{"result":7,"x":"\\ud800"}'):
        with pytest.raises(UpstreamOutcomeUnknown, match="unexpected form"):
            decode(DOCUMENTS, body)
