"""The request whose rows name keys, and answers without them (I6)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.capture.aql_plan import Asked, Modification, UnkeyedWrite, part, plan, read, whole


def planned(query: str, **more: Any) -> Modification:
    found = plan(json.dumps({"query": query, **more}).encode(), "shop")
    assert isinstance(found, Modification), found
    return found


def test_only_the_text_of_the_query_and_how_its_rows_come_are_replaced() -> None:
    body = b'{"batchSize": 2, "query": "INSERT @d INTO @@c RETURN NEW", "bindVars": {"d": {"n": 1.0}, "@c": "books"}}'
    found = plan(body, "shop")
    assert isinstance(found, Modification)
    assert found.collections == ("shop/books",)
    assert found.removed == frozenset()
    assert found.body.startswith(b'{"batchSize": 1000, "query": "')
    assert found.body.endswith(b', "bindVars": {"d": {"n": 1.0}, "@c": "books"}}')


def test_removals_cannot_be_found_by_a_scan_for_revisions() -> None:
    found = planned("FOR d IN a INSERT {} INTO b REMOVE d IN a", ttl=7, options={"allowRetry": True})
    assert (found.removed, found.once) == (frozenset({"shop/a"}), False)
    assert found.asked == Asked(ttl=7.0, retries=True)
    assert json.loads(found.body)["options"] == {}, "the origin keeps no batch that was read"


def test_a_number_of_rows_that_arangodb_refuses_reaches_it() -> None:
    for size in (0, -1, 5000, True, "x", None):
        assert json.loads(planned("INSERT {} INTO a", batchSize=size).body)["batchSize"] == size


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{", "query not understood"),
        (b'{"query":"INSERT"}', "query not understood"),
        (b'{"query":1}', "query not understood"),
    ],
)
def test_what_is_not_captured_has_a_reason(body: bytes, reason: str) -> None:
    assert plan(body, "shop") == reason


def test_what_cannot_tell_its_keys_says_where_it_removes() -> None:
    body = {"query": "LET x = (FOR d IN @@a REMOVE d IN @@a INSERT {} INTO b) RETURN x", "bindVars": {"@a": "c"}}
    found = plan(json.dumps(body).encode(), "shop")
    assert found == UnkeyedWrite("modification in a subquery", frozenset({"shop/c"}))


def test_what_cannot_tell_its_keys_is_read_to_its_end_where_it_streams() -> None:
    body = {"query": "LET x = (FOR d IN a REMOVE d IN a) RETURN x", "stream": True, "batchSize": 3}
    found = plan(json.dumps(body).encode(), "shop")
    assert isinstance(found, UnkeyedWrite)
    assert found.body is not None
    assert json.loads(found.body) == {**body, "batchSize": 1000}
    batch = read(found, b'{"result":[1,[2.0]],"hasMore":true,"id":"77"}')
    assert (batch.rows, batch.keys, batch.id) == ([b"1", b"[2.0]"], {}, "77")


def test_rows_lose_their_keys() -> None:
    asked = planned("FOR i IN 1..2 INSERT {i} INTO a RETURN NEW.i")
    body = b'{"result":[[1,"k1"],[[2.0],null],["x","k1"]],"hasMore":true,"id":"77","error":false,"code":201}'
    batch = read(asked, body)
    assert batch.rows == [b"1", b"[2.0]", b'"x"']
    assert (batch.keys, batch.id) == ({"shop/a": ("k1",)}, "77")
    assert read(asked, b'{"result":[],"hasMore":false}').id is None


@pytest.mark.parametrize("body", [b"{", b'{"result":[1],"hasMore":false}', b'{"hasMore":false}', b'{"result":[[1,2]]}'])
def test_what_is_no_answer_to_it_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError):
        read(planned("INSERT {} INTO a RETURN 1"), body)


def test_an_answer_with_all_rows_is_the_origins_without_its_cursor() -> None:
    first = b'{"result":[["a"]],"hasMore":true,"id":"7","nextBatchId":"2","count":3,"cached":false,"code":201}'
    last = b'{"result":[["c"]],"hasMore":false,"count":3,"extra":{"stats":{}},"code":200}'
    expected = b'{"result":[],"hasMore":false,"count":0,"cached":false,"code":201,"extra":{"stats":{}}}'
    assert whole(first, last, []) == expected
    one = b'{"result":[["a"]],"hasMore":false,"extra":{}}'
    assert whole(one, one, [b"1", b"{}"]) == b'{"result":[1,{}],"hasMore":false,"extra":{}}'


def test_a_batch_is_shaped_as_arangodbs() -> None:
    """Protocol page, section 4; of a stream `extra` is in the last."""
    asked = Asked(size=2, count=True)
    assert part([b"1", b"2"], asked, 1, shown="90", total=5, extra=b"{}") == (
        b'{"result":[1,2],"hasMore":true,"id":"90","count":5,"extra":{},"cached":false,"nextBatchId":"2",'
        b'"error":false,"code":201}'
    )
    assert part([b"5"], asked, 3, shown="90", total=5, extra=b"{}") == (
        b'{"result":[5],"hasMore":false,"count":5,"extra":{},"cached":false,"error":false,"code":200}'
    )
    stream = Asked(size=2, stream=True, retries=True)
    assert b"extra" not in part([], stream, 2, shown="90", total=5, extra=b"{}")
    last = part([], stream, 3, shown="90", total=5, extra=b"{}")
    assert b"extra" in last
    assert b'"id":"90"' not in last
    assert b"nextBatchId" not in last
