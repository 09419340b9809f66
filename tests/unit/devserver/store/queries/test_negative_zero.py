"""-0.0 is printed as `-0`, which is read as the integer 0 when it is sent again, as in ArangoDB."""

from __future__ import annotations

import orjson

from proxy.devserver.store import MemoryStore
from proxy.wire.decode import decode_parts


def _send(store: MemoryStore, method: str, target: str, body: bytes = b"") -> bytes:
    return store.run(decode_parts(method, target.encode(), [], body)).body


def test_a_stored_negative_zero_keeps_its_sign_and_its_text_has_none() -> None:
    store = MemoryStore()
    _send(store, "POST", "/_api/collection", orjson.dumps({"name": "c"}))
    for text in (b"-0.0", b"-0e0", b"-0.00"):
        _send(store, "POST", "/_api/document/c?overwrite=true", b'{"_key":"a","n":%s}' % text)
        assert _send(store, "GET", "/_api/document/c/a").endswith(b'"n":-0}')
    _send(store, "POST", "/_api/document/c?overwrite=true", b'{"_key":"a","n":-0}')
    assert _send(store, "GET", "/_api/document/c/a").endswith(b'"n":0}')
