"""Answers that wait on disk, in VelocyPack: the same values, with the length that is announced."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.base.errors import ArangoError
from proxy.base.spool import SpooledAnswer, SpooledRows, SpoolSpace
from proxy.gateway import packed_stream
from proxy.gateway.packed_stream import packed_answer
from proxy.gateway.velocypack_answers import packed
from proxy.model.json_values import dump, same
from proxy.model.message import Response
from proxy.wire.velocypack import decode
from tests.unit.wire.test_velocypack import VALUES


def spooled(rows: list[Any], before: bytes = b"[", after: bytes = b"]") -> SpooledAnswer:
    held = SpooledRows(SpoolSpace())
    for row in rows:
        held.append(dump(row))
    return SpooledAnswer(held.spool, before, after, *held.extent(0, len(rows)))


async def read(answer: SpooledAnswer) -> bytes:
    whole = b"".join([piece async for piece in answer])
    assert len(whole) == answer.size
    return whole


@given(st.lists(VALUES, max_size=12))
@example([5.2033445812079375e20, 3.710758336697327e21])  # printed as integers, which ArangoDB's parser reads otherwise
async def test_arrays_alone_and_within_an_object(rows: list[Any]) -> None:
    for before, after, expected in (
        (b"[", b"]", rows),
        (b'{"result":[', b'],"hasMore":true,"id":"7"}', {"result": rows, "hasMore": True, "id": "7"}),
        (b'{"a":[],"details":[', b"]}", {"a": [], "details": rows}),
    ):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(packed_stream, "_PART", 40)
            found = decode(await read(await packed_answer(spooled(rows, before, after))))
        assert same(found, expected)


@pytest.mark.parametrize("size", [1, 100, 124, 125, 126, 127, 128, 16_000, 16_380, 20_000, 200_000])
async def test_lengths_of_any_number_of_groups(size: int) -> None:
    """Of seven bits each, of which the length itself is a part."""
    for rows in (["x" * size], [1] * size):
        assert decode(await read(await packed_answer(spooled(rows)))) == rows


async def test_what_is_not_json_stays_as_it_is() -> None:
    held = SpooledRows(SpoolSpace())
    held.append(b'"\xff"')
    answer = SpooledAnswer(held.spool, b"[", b"]")
    with pytest.raises(ArangoError):
        await packed_answer(answer)
    response = Response(200, [(b"content-type", b"application/json")], answer)
    assert await packed(response) is response
    assert await read(answer) == b'["\xff"]'


async def test_the_response_has_the_type_and_length_of_the_new_body() -> None:
    answer = spooled([{"a": 1}] * 3)
    headers = [(b"x-y", b"z"), (b"content-type", b"application/json"), (b"content-length", b"%d" % answer.size)]
    response = await packed(Response(202, headers, answer))
    assert isinstance(response.body, SpooledAnswer)
    body = await read(response.body)
    assert (response.status, decode(body)) == (202, orjson.loads(b'[{"a":1},{"a":1},{"a":1}]'))
    assert response.headers == [
        (b"x-y", b"z"),
        (b"content-type", b"application/x-velocypack"),
        (b"content-length", b"%d" % len(body)),
    ]
