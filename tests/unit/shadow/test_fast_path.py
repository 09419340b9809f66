"""The fast path decides reads that are equal to the byte or certainly different; it leaves all others to `looks`."""

from __future__ import annotations

import pytest

from proxy.model.operations import Operation, Outcome
from proxy.routing.query_shapes import Shape
from proxy.shadow.diff.documents import Kind
from proxy.shadow.fast_path import definite_difference, split_equal
from proxy.shadow.jobs import ReadToCompare
from proxy.wire.endpoints import named

HERE = b'{"_key":"k","_id":"c/k","_rev":"_l6zhVTW--A","x":1}'


def read(body: bytes = HERE, status: int = 200, key: str = "k") -> ReadToCompare:
    operation = Operation(named("document.read"), "GET", "db", "c", key)
    return ReadToCompare(operation, Outcome(status, body), ("db/c",), 0.0, "r", False, Shape("s", "s"))


def test_the_very_bytes_are_a_match_and_nothing_else_is() -> None:
    same, others = split_equal(
        [read(), read(key="gone"), read(status=404), read(b'{"x":1}')], {"k": HERE, "other": b"{}"}
    )
    assert [job.outcome for job in same] == [Outcome(200, HERE)]
    assert len(others) == 3


def test_other_content_of_one_revision_is_certain() -> None:
    """I8: lag cannot make two contents of one revision."""
    difference = definite_difference(read(), HERE.replace(b'"x":1', b'"x":2'))
    assert difference is not None
    assert (difference.kind, difference.paths, difference.certain) == (Kind.VALUE, ("x",), True)


@pytest.mark.parametrize(
    "raw",
    [
        HERE.replace(b"_l6zhVTW--A", b"_l6zhVTW--B"),  # another revision: perhaps lag
        b'{"x":1,"_key":"k","_id":"c/k","_rev":"_l6zhVTW--A"}',  # another order of attributes: equal
        None,  # perhaps not mirrored yet
        b"{",  # no JSON at all
    ],
)
def test_everything_else_is_looked_at_by_itself(raw: bytes | None) -> None:
    assert definite_difference(read(), raw) is None


def test_an_error_is_looked_at_by_itself() -> None:
    assert definite_difference(read(b'{"errorNum":1202}', 404), HERE) is None
