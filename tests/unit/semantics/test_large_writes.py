"""Requests in parts: which have any, and answers that are put together."""

from __future__ import annotations

import json

import msgspec
import pytest

from proxy.model.operations import Operation, Outcome
from proxy.semantics.large_writes import ArrayAnswer, ImportAnswer, PartSize, has_parts, import_requests, whole
from proxy.wire.decode import decode_parts
from tests.unit.semantics.test_body_parts import Body

CODES = b"x-arango-error-codes"


class Kept:
    """A sink in memory."""

    def __init__(self) -> None:
        self.text = b""

    def append(self, data: bytes) -> None:
        self.text += data


def large(target: str, body: bytes, headers: list[tuple[bytes, bytes]] | None = None) -> Operation:
    return msgspec.structs.replace(decode_parts("POST", target.encode(), headers or []), large=Body(body))


def array_answer(*outcomes: Outcome) -> tuple[int, bytes, tuple[tuple[bytes, bytes], ...]]:
    kept = Kept()
    answer = ArrayAnswer(kept)
    for outcome in outcomes:
        answer.add(outcome)
    return answer.status, answer.head + kept.text + answer.tail, answer.headers


def test_the_elements_of_parts_are_one_array() -> None:
    refused = Outcome(202, b'[{"error":true}]', ((CODES, b'{"1210":1}'),))
    also = Outcome(202, b'[{"error":true},{"error":true}]', ((CODES, b'{"1210":1,"1221":1}'),))
    written = Outcome(201, b'[{"_key":"a"}]')
    assert array_answer(refused, written, also) == (
        201,  # one part waited for the disk
        b'[{"error":true},{"_key":"a"},{"error":true},{"error":true}]',
        ((CODES, b'{"1210":2,"1221":1}'),),
    )
    assert array_answer(refused, also)[0] == 202


def test_parts_that_are_silent_show_their_errors_only() -> None:
    silent = Outcome(202, b"{}")
    assert array_answer(silent, silent) == (202, b"{}", ())
    assert array_answer(silent, Outcome(202, b'[{"error":true}]'), silent)[1] == b'[{"error":true}]'
    assert array_answer(Outcome(202, b"[]"))[1] == b"[]"


@pytest.mark.parametrize("details", [False, True])
def test_the_counts_of_parts_are_added(details: bool) -> None:
    kept = Kept()
    answer = ImportAnswer(kept)
    names = ("error", "created", "errors", "empty", "updated", "ignored")
    lines = [['at position 1: "x]}"'], [], ["at position 7: y", "z"]]
    for number, some in enumerate(lines):
        body = dict(zip(names, (False, number, 1, 2, 3, 4), strict=True)) | ({"details": some} if details else {})
        answer.add(Outcome(201, json.dumps(body, separators=(",", ":")).encode()))
    expected = dict(zip(names, (False, 3, 3, 6, 9, 12), strict=True)) | (
        {"details": [*lines[0], *lines[2]]} if details else {}
    )
    text = answer.head + kept.text + answer.tail
    assert text.decode() == json.dumps(expected, separators=(",", ":"))


def test_arrays_and_imports_have_parts() -> None:
    assert has_parts(large("/_api/document/c", b" \n[1]"))
    assert has_parts(large("/_api/import?collection=c", b"x"))
    packed = [(b"content-type", b"application/x-velocypack")]
    assert has_parts(large("/_api/document/c", b"\x02\x03\x31", packed))
    for other in (
        large("/_api/document/c", b'{"a":[1]}'),
        large("/_api/document/c", b"  "),
        large("/_api/import?collection=c", b"x", packed),
        large("/_api/document/c", b"[1]", packed),
        decode_parts("POST", b"/_api/document/c", [], b"[1]"),
    ):
        assert not has_parts(other)
    assert whole(large("/_api/document/c", b'{"a":1}')).body == b'{"a":1}'


def test_each_part_of_an_import_knows_its_position() -> None:
    size = PartSize(1, 2)
    for kind, body, texts in (
        ("documents", b"1\n\n3\n4\n5", [(b"1\n\n", 0), (b"3\n4\n", 2), (b"5", 4)]),
        ("array", b"[1,2,3]", [(b"[1,2]", 0), (b"[3]", 2)]),
        ("", b'["a"]\n[1]\n[2]\n[3]', [(b'["a"]\n[1]\n', 0), (b'["a"]\n[2]\n', 1), (b'["a"]\n[3]', 2)]),
    ):
        parts = list(import_requests(large(f"/_api/import?collection=c&overwrite=true&type={kind}", body), size))
        assert [(part.operation.body, part.first) for part in parts] == texts
        assert not any(part.empties for part in parts)
