"""Requests to a MemoryStore, without sockets."""

from __future__ import annotations

import json
from typing import Any

from proxy.devserver.store import MemoryStore
from proxy.wire.decode import decode_parts


class Client:
    """`send` returns status and parsed body."""

    def __init__(self, store: MemoryStore) -> None:
        self.store = store

    def send(self, method: str, target: str, body: Any = None, trx: str | None = None) -> tuple[int, Any]:
        headers = [(b"x-arango-trx-id", trx.encode())] if trx else []
        raw = b"" if body is None else json.dumps(body).encode()
        outcome = self.store.run(decode_parts(method, target.encode(), headers, raw))
        return outcome.status, json.loads(outcome.body) if outcome.body else None

    def begin(self, **collections: Any) -> str:
        status, body = self.send("POST", "/_api/transaction/begin", {"collections": collections})
        assert status == 201
        number: str = body["result"]["id"]
        return number
