"""What is refused before PostgreSQL sees it."""

from __future__ import annotations

from backfill.origin_pages import DOCUMENTS, decode, document
from backfill.target_writer import prepare


def test_what_is_no_utf_8_is_refused_before_postgresql_sees_it() -> None:
    good = document(decode(DOCUMENTS, b'{"result":[{"_key":"a","_rev":"_a","t":"\\u0000"}]}').result[0])
    bad = document(decode(DOCUMENTS, b'{"result":[{"_key":"b","_rev":"_a","t":"\xe9"}]}').result[0])
    [prepared], [refused] = prepare([good, bad])
    assert prepared.doc == '{"t":"\ufdd00"}'
    assert (refused.key, refused.reason[:9]) == ("b", "not UTF-8")
