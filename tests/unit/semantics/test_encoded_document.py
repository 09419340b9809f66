"""The revision of a document as it is stored."""

from __future__ import annotations

import pytest

from proxy.semantics.encoded_document import revision_of


@pytest.mark.parametrize(
    "raw",
    [
        b'{"_key":"a","_id":"c/a","_rev":"_k1","x":{"_rev":"other"}}',
        b'{"_key": "a", "_id": "c/a", "_rev": "_k1", "x": {"_rev": "other"}}',  # as a SQL client may write it
    ],
)
def test_the_revision_is_found_with_blanks_and_without(raw: bytes) -> None:
    assert revision_of(raw) == "_k1"
