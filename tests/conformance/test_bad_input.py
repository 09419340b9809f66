"""Endpoints survive malformed input: the cases' own requests, corrupted, get ArangoDB's errors and no traceback."""

from __future__ import annotations

import json
import random
import re
from typing import Any

import pytest

from proxy.devserver.serve import StoreHandler
from proxy.devserver.store import MemoryStore
from proxy.model.message import Request
from tests.conformance import runner

_INVALID_VALUES: list[Any] = [
    None,
    True,
    0,
    -1,
    2.5,
    1e300,
    2**63,
    "",
    "\0",
    "c",
    "c/k",
    "x/y/z",
    [],
    {},
    ["c", "c"],
    [1],
    [[]],
]
_INVALID_VALUES += [
    {"a": {"b": [1]}},
    [{"collection": "e", "from": ["c"], "to": ["c"]}],
    "a" * 300,
    "persistent",
    "RETURN 1",
]
_RAW = [b"", b"{", b"[1,", b"\xff", b"nul", b'{"a":1,"a":2}', b'"\\ud800"', b"[" * 300, b"1e999"]
_PARAMETERS = ["count", "stamp", "chunkSize", "from", "to", "batchId", "line", "type", "direction", "rev", "collection"]
_HEADERS = [b"if-match", b"if-none-match", b"x-arango-trx-id", b"x-arango-async", b"content-type", b"authorization"]
_VALUES = [b"*", b"", b"store", b"application/x-velocypack", b"Bearer a.b.c", b"Basic !", b"1"]
_EXPECTED_500 = {18, 500}  # a lock that is never released, and `/_admin/server/id` of a single server


def _spoil(chance: random.Random, body: Any) -> bytes:
    if chance.random() < 0.2:
        return chance.choice(_RAW)
    if isinstance(body, dict) and body and chance.random() < 0.8:
        return json.dumps({**body, chance.choice(list(body)): chance.choice(_INVALID_VALUES)}).encode()
    return json.dumps(chance.choice([chance.choice(_INVALID_VALUES), [chance.choice(_INVALID_VALUES), body]])).encode()


def _request(chance: random.Random, step: dict[str, Any]) -> Request:
    method, _, target = re.sub(r"\$\{\w+\}", "100001", step["send"]).partition(" ")
    raw = json.dumps(step["body"]).encode() if "body" in step else step.get("text", "").encode()
    headers: list[tuple[bytes, bytes]] = []
    if chance.random() < 0.5:
        raw = _spoil(chance, step.get("body"))
    if chance.random() < 0.2:
        target += (
            f"{'&' if '?' in target else '?'}{chance.choice(_PARAMETERS)}={chance.choice(['x', '-1', '', '9' * 30])}"
        )
    if chance.random() < 0.1:
        headers.append((chance.choice(_HEADERS), chance.choice(_VALUES)))
    if chance.random() < 0.1:
        method = chance.choice(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
    return Request(method, target.encode(), headers, raw)


@pytest.mark.parametrize("seed", range(4))
async def test_malformed_requests_get_errors(seed: int) -> None:
    chance = random.Random(seed)
    for case in runner.load():
        store = MemoryStore(lock_wait=0.0)
        if case.root_password is not None:
            store.server.accounts.enforced = chance.random() < 0.2
        handler = StoreHandler(store)
        for step in case.steps:
            request = _request(chance, step)
            answer = await handler(request)
            assert isinstance(answer.body, bytes)
            if answer.status >= 400 and request.method != "HEAD":
                body = json.loads(answer.body)
                assert body["code"] == answer.status, request
                assert answer.status != 500 or body["errorNum"] in _EXPECTED_500, request
