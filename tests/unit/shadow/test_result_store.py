"""The result store's memory is bounded, whatever comes while PostgreSQL is unavailable."""

from __future__ import annotations

from unittest.mock import Mock

import pytest

from proxy.base.config import Settings
from proxy.model.operations import Operation
from proxy.routing.query_shapes import OTHER, Shape
from proxy.shadow import counters
from proxy.shadow import result_store as module
from proxy.shadow.counters import fingerprint
from proxy.shadow.diff.documents import Difference, Kind
from proxy.shadow.result_store import ResultStore
from proxy.shadow.samples import MismatchEvidence
from proxy.wire.endpoints import named
from tests.ad_hoc import Database

READ = Operation(named("document.read"), "GET", "db", "c", "k")
SHAPE = Shape("document.read", "document.read")


def met(ledger: ResultStore, example: MismatchEvidence, *, began: float) -> None:
    ledger.mismatched(["db/c"], SHAPE, example.difference, [example], began=began)


@pytest.fixture
def ledger() -> ResultStore:
    return ResultStore(Mock(spec=Database), Settings())


def evidence(*paths: str, keys: tuple[str, ...] = (), body: bytes = b"{}") -> MismatchEvidence:
    return MismatchEvidence(READ, Difference(Kind.VALUE, paths, keys), body, body, "r")


def test_shapes_beyond_the_bound_are_counted_together(ledger: ResultStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counters, "MAX_SHAPES", 3)
    for number in range(10):
        ledger.seen(["db/c"], Shape(str(number), "text"))

    shapes = ledger._deltas.shapes
    assert [name for _, name in shapes] == ["0", "1", "2", OTHER.name]
    assert sum(delta.seen for delta in shapes.values()) == 10


def test_fingerprints_beyond_the_bound_are_counted_by_class(
    ledger: ResultStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counters, "MAX_FINGERPRINTS", 3)
    for number in range(10):
        met(ledger, evidence(f"path{number}"), began=0)

    found = list(ledger._deltas.mismatches.values())
    assert [delta.difference.paths for delta in found] == [("path0",), ("path1",), ("path2",), ("…",)]
    assert sum(sum(delta.moments.values()) for delta in found) == 10


def test_moments_keys_and_samples_are_bounded(ledger: ResultStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counters, "MAX_SLICES", 4)
    for number in range(300):
        met(ledger, evidence("x", keys=(f"k{number}",)), began=number)

    (delta,) = ledger._deltas.mismatches.values()
    assert (len(delta.moments), sum(delta.moments.values())) == (4, 300)
    assert (len(delta.keys), len(delta.samples)) == (100, 5)


def test_samples_are_bounded_in_bytes(ledger: ResultStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counters, "MAX_SAMPLE_BYTES", 3000)
    for number in range(20):
        met(ledger, evidence(f"p{number}", body=b"x" * 1000), began=0)

    kept = [text for delta in ledger._deltas.mismatches.values() for text in delta.samples]
    assert len(kept) == 2


def test_a_fingerprint_is_new_once(ledger: ResultStore, monkeypatch: pytest.MonkeyPatch) -> None:
    difference = evidence("x").difference
    assert ledger.is_new(["db/c"], difference)
    met(ledger, evidence("x"), began=0)
    assert not ledger.is_new(["db/c"], difference)
    assert ledger.is_new(["db/c", "db/d"], difference)
    monkeypatch.setattr(module, "_MAX_KNOWN", 1)
    met(ledger, evidence("y"), began=0)
    assert ledger.is_new(["db/c"], evidence("y").difference)


def test_a_fingerprint_is_of_collection_class_and_paths() -> None:
    difference = Difference(Kind.VALUE, ("a", "b"), ("k1",))

    assert fingerprint("db/c", difference) == fingerprint("db/c", Difference(Kind.VALUE, ("a", "b"), ("k2",)))
    assert len({fingerprint(c, Difference(k, p)) for c in "cd" for k in Kind for p in ((), ("a",), ("b",))}) == 48


def test_what_is_put_back_adds_up(ledger: ResultStore) -> None:
    def one(began: float) -> None:
        ledger.seen(["db/c"], SHAPE)
        ledger.matched(["db/c"], SHAPE, began=began, lagged=True)
        ledger.count_undecided(["db/c"], SHAPE, began=began)
        ledger.unsupported(["db/c"], SHAPE, began=began)
        met(ledger, evidence("x", keys=(f"k{began}",)), began=began)

    one(5.0)
    older, ledger._deltas = ledger._deltas, type(ledger._deltas)()
    one(7.0)
    met(ledger, evidence("y"), began=7.0)
    ledger._restore(older)

    (shape,) = ledger._deltas.shapes.values()
    (figures,) = ledger._deltas.comparisons.values()
    of_shape, of_gate = shape.counts, figures.counts
    assert (shape.seen, of_shape.matched, shape.mismatched) == (2, 2, 3)
    assert (of_shape.undecided, of_shape.unsupported) == (2, 2)
    assert (figures.oldest, of_gate.matched, figures.lagged, of_gate.undecided) == (5.0, 2, 2, 2)
    first, second = ledger._deltas.mismatches.values()
    assert (sum(first.moments.values()), list(first.keys), len(first.samples)) == (2, ["k5.0", "k7.0"], 2)
    assert second.difference.paths == ("y",)
