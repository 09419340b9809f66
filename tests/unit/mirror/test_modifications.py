"""The request that tells keys, and answers without them (I6)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.mirror.modifications import Modification, Untold, plan, read, without_rows


def planned(query: str, **more: Any) -> Modification:
    found = plan(json.dumps({"query": query, **more}).encode(), "shop")
    assert isinstance(found, Modification), found
    return found


def test_only_the_text_of_the_query_is_replaced() -> None:
    body = b'{"batchSize": 2, "query": "INSERT @d INTO @@c RETURN NEW", "bindVars": {"d": {"n": 1.0}, "@c": "books"}}'
    found = plan(body, "shop")
    assert isinstance(found, Modification)
    assert found.collections == ("shop/books",)
    assert found.revised == {"shop/books"}
    assert found.body.startswith(b'{"batchSize": 2, "query": "')
    assert found.body.endswith(b', "bindVars": {"d": {"n": 1.0}, "@c": "books"}}')


def test_removals_cannot_be_found_by_a_scan_for_revisions() -> None:
    found = planned("FOR d IN a INSERT {} INTO b REMOVE d IN a", ttl=7, options={"allowRetry": True})
    assert found.revised == frozenset({"shop/b"})
    assert (found.once, found.ttl, found.retries) == (False, 7.0, True)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{", "query not understood"),
        (b'{"query":"INSERT"}', "query not understood"),
        (b'{"query":"INSERT {} INTO a","stream":true}', "streaming"),
        (b'{"query":"INSERT {} INTO a","options":{"stream":true}}', "streaming"),
    ],
)
def test_what_is_not_captured_has_a_reason(body: bytes, reason: str) -> None:
    assert plan(body, "shop") == reason


def test_what_cannot_tell_its_keys_says_where_it_removes() -> None:
    body = {"query": "LET x = (FOR d IN @@a REMOVE d IN @@a INSERT {} INTO b) RETURN x", "bindVars": {"@a": "c"}}
    found = plan(json.dumps(body).encode(), "shop")
    assert found == Untold("modification in a subquery", frozenset({"shop/c"}))


def test_rows_lose_their_keys_and_cursors_get_an_id_of_the_proxys_own() -> None:
    asked = planned("FOR i IN 1..2 INSERT {i} INTO a RETURN NEW.i")
    body = b'{"result":[[1,"k1"],[[2.0],null],["x","k1"]],"hasMore":true,"id":"77","error":false,"code":201}'
    batch = read(asked, body, "9001")
    assert batch.body == b'{"result":[1,[2.0],"x"],"hasMore":true,"id":"9001","error":false,"code":201}'
    assert (batch.keys, batch.id) == ({"shop/a": ("k1",)}, "77")
    assert read(asked, b'{"result":[],"hasMore":false}', "9001").id is None


@pytest.mark.parametrize("body", [b"{", b'{"result":[1],"hasMore":false}', b'{"hasMore":false}', b'{"result":[[1,2]]}'])
def test_what_is_no_answer_to_it_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError):
        read(planned("INSERT {} INTO a RETURN 1"), body, "9001")


def test_a_query_without_return_answers_no_rows() -> None:
    first = b'{"result":[["a"]],"hasMore":true,"id":"7","nextBatchId":"2","count":3,"cached":false,"code":201}'
    last = b'{"result":[["c"]],"hasMore":false,"count":3,"extra":{"stats":{}},"code":200}'
    expected = b'{"result":[],"hasMore":false,"count":0,"cached":false,"code":201,"extra":{"stats":{}}}'
    assert without_rows(first, last) == expected
    whole = b'{"result":[["a"]],"hasMore":false,"extra":{}}'
    assert without_rows(whole, whole) == b'{"result":[],"hasMore":false,"extra":{}}'
