"""Documents as parameters of a statement."""

from __future__ import annotations

from backfill.origin_pages import DOCUMENTS, decode, document
from proxy.replication.document_encoding import DocumentEncoder
from proxy.replication.versions import StampedVersion


async def test_what_is_not_utf_8_is_refused_before_postgresql_sees_it() -> None:
    good = document(decode(DOCUMENTS, b'{"result":[{"_key":"a","_rev":"_a","t":"\\u0000"}]}').result[0])
    bad = document(decode(DOCUMENTS, b'{"result":[{"_key":"b","_rev":"_a","t":"\xe9"}]}').result[0])
    removal = StampedVersion("c", 1, None, 5)
    encoded, refused = await DocumentEncoder().encode([good.stamped(5), removal, bad.stamped(5)])
    assert (encoded.doc, encoded.wrong) == ('{"t":"\ufdd00"}', "")
    assert (refused.row.key, refused.wrong[:9]) == ("b", "not UTF-8")
