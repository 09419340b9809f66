"""Large bodies cut into parts: the parts have all elements or lines, in order, whatever the size and the text."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from proxy.base.errors import ArangoError
from proxy.model.json_faults import JsonError
from proxy.model.json_values import parse
from proxy.semantics.body_parts import NotAnArrayError, array_parts, line_parts, lines_in
from proxy.semantics.large_writes import PartSize, array_fault

TEXTS = ("", "a", '"', "},{", '","', "\\", "]", "[{", "ü€😀", "\u0000", ",", "_key")
MISTAKES = (
    *(b"", b",", b"]", b"}", b"{", b"[", b'"', b"\\", b"\xff", b"\xe2", b"x", b"1 2", b"tru", b"\n", b"  ", b"{ a"),
    *(b'"\\ud800"', b"1e999", b'{"a":1,"a":2},', b'{"a":1]'),
)
DEEP = (b"[" * 210 + b"]" * 210, b"[" * 300 + b"]" * 300 + b",")


class Body:
    """A body in memory, as a large one."""

    def __init__(self, text: bytes) -> None:
        self.text = text

    @property
    def size(self) -> int:
        return len(self.text)

    def read(self, begin: int, end: int) -> bytes:
        return self.text[begin:end]


def value(rng: random.Random, depth: int = 0) -> Any:
    roll = rng.randrange(9 if depth < 3 else 5)
    if roll < 2:
        return rng.choice((0, 1.5, -3, 10**19, 1e300, True, None))
    if roll < 5:
        return rng.choice(TEXTS)
    if roll < 7:
        return [value(rng, depth + 1) for _ in range(rng.randrange(4))]
    return {name: value(rng, depth + 1) for name in rng.sample(("_key", "a", "b,c", 'd"'), rng.randrange(4))}


def elements(rng: random.Random) -> list[Any]:
    kind = rng.randrange(4)
    if kind == 0:
        return [{"_key": str(n), "v": value(rng)} for n in range(rng.randrange(30))]
    if kind == 1:
        return [rng.choice(TEXTS) + str(n) for n in range(rng.randrange(30))]
    return [value(rng) for _ in range(rng.randrange(20))]


def text_of(rng: random.Random, values: Any) -> bytes:
    blanks = rng.choice((None, 1, "\t"))
    separators = rng.choice(((",", ":"), (", ", ": "), (" ,\n", " : ")))
    text = json.dumps(values, indent=blanks, separators=separators, ensure_ascii=rng.random() < 0.5)
    return rng.choice(("", " ", "\r\n")).encode() + text.encode() + rng.choice(("", "  ", "\n")).encode()


def pieces(rng: random.Random, text: bytes) -> Iterator[bytes]:
    start = 0
    while start < len(text):
        end = start + rng.choice((1, 2, 7, 40, 1000))
        yield text[start:end]
        start = end


@pytest.mark.parametrize("part", range(4))
def test_an_array_is_the_sum_of_its_parts(part: int) -> None:
    """No part has more elements than allowed, or more bytes unless it is one element."""
    for number in range(400):
        rng = random.Random(part * 1000 + number)
        values = elements(rng)
        text = text_of(rng, values)
        size, most = rng.choice((1, 5, 30, 200, 5000)), rng.choice((1, 2, 7, 1000))
        parts = list(array_parts(pieces(rng, text), size, most))
        found = [element for one in parts for element in orjson.loads(one.text)]
        assert found == orjson.loads(text)
        assert [one.count for one in parts] == [len(orjson.loads(one.text)) for one in parts]
        assert max((one.count or 0 for one in parts), default=0) <= most
        assert [one.first for one in parts] == [True] + [False] * (len(parts) - 1)


def test_parts_that_have_too_many_documents_are_divided_evenly() -> None:
    array = orjson.dumps(list(range(1099)))
    assert [one.count for one in array_parts([array], len(array), 1000)] == [550, 549]
    lines = b"{}\n" * 2001
    assert [lines_in(one) for one in line_parts([lines], len(lines), 1000)] == [667, 667, 667]


@pytest.mark.parametrize("part", range(4))
def test_a_malformed_array_gets_the_error_of_the_whole(part: int) -> None:
    """Whatever is wrong, and wherever: the message is that of a parser which has all of it."""
    refused = 0
    for number in range(1500):
        rng = random.Random(part * 10_000 + number)
        text = bytearray(text_of(rng, elements(rng)))
        for _ in range(rng.randrange(1, 3)):
            place = text.index(b"[") + 1 + rng.randrange(len(text))
            text[place : place + rng.choice((0, 0, 1, 5))] = rng.choice(MISTAKES)
        if rng.random() < 0.1:  # nesting beyond what the parser can read is a matter of the text's length too
            text[place:place] = rng.choice(DEEP)
        elif rng.random() < 0.1:
            del text[rng.randrange(text.index(b"[") + 1, len(text) + 1) :]
        size = PartSize(rng.choice((1, 5, 30, 200, 5000)), rng.choice((1, 2, 7, 1000)))
        whole = bytes(text)
        expected: str | None = None
        try:
            if not isinstance(parse(whole), list):
                continue
        except ArangoError as error:
            expected = error.message
        try:
            found = array_fault(Body(whole), size)
        except NotAnArrayError:
            assert expected is not None
            continue
        assert (found.message if found else None) == expected, (whole, size)
        refused += expected is not None
    assert refused > 1000


@pytest.mark.parametrize("text", [b"[1,]", b"[1, ]", b"[,1]", b"[ , 1]", b"[1,,2]", b"[1,", b"[,", b"[,]", b"["])
@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_a_comma_needs_an_element_on_both_sides(text: bytes, size: int) -> None:
    with pytest.raises(ArangoError) as whole:
        parse(text)
    found = array_fault(Body(text), PartSize(size, 100))
    assert found is not None
    assert found.message == whole.value.message


def test_an_element_that_never_ends_is_not_collected() -> None:
    """A mistake is noticed when the element is longer than a part: not at the end of the body."""
    read = 0

    def endless() -> Iterator[bytes]:
        nonlocal read
        yield b'[{"a":1},{"a":{"b":1},'
        for _ in range(1000):
            read += 1
            yield b'{"_key":"k"},' * 100

    *_, last = array_parts(endless(), 1000, 100)
    with pytest.raises(JsonError):
        parse(last.text)
    assert read < 10


def test_blanks_are_not_collected() -> None:
    def spaced() -> Iterator[bytes]:
        yield b"["
        for _ in range(100):
            yield b" " * 1000
        yield b"1"
        for _ in range(100):
            yield b" " * 1000
        yield b"]"

    (part,) = array_parts(spaced(), 10, 100)
    assert parse(part.text) == [1]


@pytest.mark.parametrize("text", [b"", b"  ", b"{}", b'"["', b"1"])
def test_what_is_not_an_array_is_refused(text: bytes) -> None:
    with pytest.raises(NotAnArrayError):
        list(array_parts([text], 10, 10))


def test_lines_are_the_sum_of_their_parts() -> None:
    for number in range(500):
        rng = random.Random(number)
        text = b"".join(rng.choice((b"a", b"\n", b"\n", b"\r\n", b" ", b"long line")) for _ in range(rng.randrange(40)))
        most = rng.choice((1, 2, 1000))
        parts = list(line_parts(pieces(rng, text), rng.choice((1, 5, 30)), most))
        assert b"".join(parts) == text
        assert all(one.endswith(b"\n") for one in parts[:-1])
        assert sum(map(lines_in, parts[:-1])) == b"".join(parts[:-1]).count(b"\n")
        assert all(one.count(b"\n") <= most for one in parts)
