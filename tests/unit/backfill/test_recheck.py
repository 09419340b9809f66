"""Classification of the differences of a key."""

from __future__ import annotations

import pytest

from backfill.recheck import classify, equal, intact


@pytest.mark.parametrize(
    ("origin", "target", "kind"),
    [
        (5, 5, None),
        (None, None, None),
        (5, None, "missing"),
        (None, 5, "extra"),
        (6, 5, "stale"),
        (5, 6, "different"),  # the origin lost writes
    ],
)
def test_classes(origin: int | None, target: int | None, kind: str | None) -> None:
    assert classify(origin, target) == kind


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        (b'{"a":1,"b":2}', b'{"b":2,"a":1}', True),
        (b'{"a":1}', b'{"a":1.0}', True),
        (b'{"a":-0}', b'{"a":0}', True),
        (b'{"a":1}', b'{"a":true}', False),
        (b'{"a":1}', b'{"a":"1"}', False),
        (b'{"a":9007199254740993}', b'{"a":9007199254740992.0}', False),
        (b'{"a":9223372036854775808}', b'{"a":9223372036854775807}', False),
        (b'{"a":1e300}', b'{"a":1E+300}', True),
        (b'{"a":[1,2]}', b'{"a":[2,1]}', False),
        (b'{"a":null}', b"{}", False),
        (b'{"a":"\\u0041"}', b'{"a":"A"}', True),
        (b'{"a":"\\ud800"}', b'{"a":"\\uD800"}', True),  # a lone surrogate in old data
        (b'{"a":"\\ud800"}', b'{"a":"\\ud801"}', False),
    ],
)
def test_equality_is_of_values(left: bytes, right: bytes, same: bool) -> None:
    assert equal(left, right) is same


def test_the_queried_column_is_what_the_document_gives() -> None:
    head = '"_key":"k","_id":"c/k","_rev":"_x"'
    assert intact(f'{{{head},"a":1.0,"b":1e3}}', '{"b": 1000, "a": 1}')
    assert intact(f'{{{head},"a":"x\\u0000y\ufdd0"}}', '{"a": "x\ufdd00y\ufdd01"}')
    assert not intact(f'{{{head},"a":"x\\u0000y"}}', '{"a": "xy"}')
    assert not intact(f'{{{head},"a":1}}', '{"a": 2}')
    assert not intact(f'{{{head},"a":1}}', '{"a": 1, "_key": "k"}')
