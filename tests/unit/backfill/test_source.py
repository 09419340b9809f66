"""What the source makes of answers: bytes kept, order checked, errors translated."""

from __future__ import annotations

import pytest

from backfill.source import _DOCUMENTS, OriginDisorder, Source, _check_order, _decode, _document, _elements, _revision
from backfill.target import is_a_conflict, is_of_a_document, prepare
from proxy.errors import ArangoError, ConfigurationError, CrossfadeError, DatabaseRefused, UpstreamLost


def test_documents_keep_their_bytes() -> None:
    printed = b'{"z":1.0,"_key":"a","_id":"c/a","_rev":"_l6zhVTW--A","n":-0,"t":"\\u0000","_rev2":18446744073709551616}'
    [raw] = _decode(_DOCUMENTS, b'{"result":[' + printed + b'],"hasMore":false}').result
    document = _document(raw)
    assert (document.key, document.rev, document.raw) == ("a", 1872607071780732930, printed)


def test_a_revision_that_is_none_fits_a_bigint() -> None:
    assert _revision("not a revision!") == (1 << 63) - 1


@pytest.mark.parametrize("keys", [["b", "a"], ["a", "a"], ["B", "a", "C"], ["0"], ["a", "z"]])
def test_pages_in_another_order_are_refused(keys: list[str]) -> None:
    with pytest.raises(OriginDisorder, match="byte order"):
        _check_order(keys, "0", "y", "shop/carts")


def test_pages_in_byte_order_pass() -> None:
    _check_order(["A", "Z", "_", "a"], "", None, "shop/carts")


def test_answers_that_are_not_what_was_asked_for() -> None:
    with pytest.raises(UpstreamLost):
        _decode(_DOCUMENTS, b'{"result":{}}')
    with pytest.raises(UpstreamLost, match="1 documents for 2 keys"):
        _elements(b'[{"_key":"a","_rev":"_a"}]', ["a", "b"])
    with pytest.raises(ArangoError, match="could not read the key a"):
        _elements(b'[{"error":true,"errorNum":1205}]', ["a"])


def test_a_document_with_an_attribute_error_is_a_document() -> None:
    found = _elements(b'[{"_key":"a","_rev":"_a","error":true,"errorNum":"x"}]', ["a"])
    assert found["a"] is not None


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (503, b"busy", UpstreamLost),
        (412, b'{"errorNum":21004,"errorMessage":"queue time"}', UpstreamLost),
        (401, b"{}", ConfigurationError),
        (403, b'{"errorNum":11}', ConfigurationError),
        (404, b'{"errorNum":1203,"errorMessage":"collection or view not found: carts"}', ArangoError),
        (400, b"nonsense", ArangoError),
    ],
)
async def test_errors_are_those_of_the_tree(status: int, body: bytes, kind: type[CrossfadeError]) -> None:
    source = Source("http://127.0.0.1:1", "root", "")
    assert isinstance(source._error(status, body), kind)
    await source.close()


async def test_an_origin_that_is_away_is_given_up_after_the_patience() -> None:
    source = Source("http://127.0.0.1:1", "root", "", patience=0.0)
    with pytest.raises(UpstreamLost, match="did not answer"):
        await source.count("shop", "carts")
    await source.close()


def test_what_is_no_utf_8_is_refused_before_postgresql_sees_it() -> None:
    good = _document(_decode(_DOCUMENTS, b'{"result":[{"_key":"a","_rev":"_a","t":"\\u0000"}]}').result[0])
    bad = _document(_decode(_DOCUMENTS, b'{"result":[{"_key":"b","_rev":"_a","t":"\xe9"}]}').result[0])
    [prepared], [refused] = prepare([good, bad])
    assert prepared.doc == '{"t":"\ufdd00"}'
    assert (refused.key, refused.reason[:9]) == ("b", "not UTF-8")


def test_whose_fault_a_refusal_is() -> None:
    assert is_of_a_document(DatabaseRefused("check", "23514"))
    assert not is_of_a_document(DatabaseRefused("no table", "42P01"))
    assert is_a_conflict(DatabaseRefused("deadlock", "40P01"))
