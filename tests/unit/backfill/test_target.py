"""What is refused before PostgreSQL sees it, and whose fault a refusal is."""

from __future__ import annotations

from backfill.answers import DOCUMENTS, decode, document
from backfill.target import is_a_conflict, is_of_a_document, prepare
from proxy.errors import DatabaseRefused


def test_what_is_no_utf_8_is_refused_before_postgresql_sees_it() -> None:
    good = document(decode(DOCUMENTS, b'{"result":[{"_key":"a","_rev":"_a","t":"\\u0000"}]}').result[0])
    bad = document(decode(DOCUMENTS, b'{"result":[{"_key":"b","_rev":"_a","t":"\xe9"}]}').result[0])
    [prepared], [refused] = prepare([good, bad])
    assert prepared.doc == '{"t":"\ufdd00"}'
    assert (refused.key, refused.reason[:9]) == ("b", "not UTF-8")


def test_whose_fault_a_refusal_is() -> None:
    assert is_of_a_document(DatabaseRefused("check", "23514"))
    assert not is_of_a_document(DatabaseRefused("no table", "42P01"))
    assert is_a_conflict(DatabaseRefused("deadlock", "40P01"))
