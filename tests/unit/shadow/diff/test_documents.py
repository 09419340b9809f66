"""What counts as a difference, of which class, and where."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.model.json_values import same
from proxy.shadow.diff.documents import (
    MAX_PATHS,
    Difference,
    Kind,
    NotComparable,
    TargetRows,
    canonical,
    compare_documents,
    compare_rows,
    compare_values,
)

OLD, NEW = "_l6zhVTW---", "_l6zhVTW--A"


def doc(key: str = "a", rev: str = NEW, **content: object) -> dict[str, object]:
    return {"_key": key, "_id": f"docs/{key}", "_rev": rev, **content}


def compared(origin: object, target: object) -> Difference | None:
    return compare_documents(orjson.dumps(origin), orjson.dumps(target))


# ---- documents


def test_equal_bytes_are_equal() -> None:
    assert compare_documents(b'{"a":1}', b'{"a":1}') is None


@pytest.mark.parametrize(
    ("origin", "target"),
    [
        (b'{"a":1,"b":{"c":1,"d":2}}', b'{"b":{"d":2,"c":1},"a":1}'),
        (b'{"a":1}', b'{"a":1.0}'),
        (b'{"a":[1,2]}', b'{ "a" : [ 1.0, 2 ] }'),
        (b'{"a":1e3}', b'{"a":1000}'),
        (b'{"a":"\\u00e9"}', '{"a":"é"}'.encode()),
        (b'{"a":-0}', b'{"a":0}'),
    ],
)
def test_harmless_differences_are_none(origin: bytes, target: bytes) -> None:
    assert compare_documents(origin, target) is None


@pytest.mark.parametrize(
    ("origin", "target", "kind", "paths"),
    [
        ({"a": 1}, {"a": 2}, Kind.VALUE, ("a",)),
        ({"a": 9007199254740993}, {"a": 9007199254740992}, Kind.VALUE, ("a",)),
        ({"a": 1}, {}, Kind.VALUE, ("a",)),
        ({}, {"a": None}, Kind.VALUE, ("a",)),
        ({"a": {"b": {"c": "x"}}}, {"a": {"b": {"c": "y"}}}, Kind.VALUE, ("a.b.c",)),
        ({"a": 1}, {"a": True}, Kind.TYPE, ("a",)),
        ({"a": 5}, {"a": "5"}, Kind.TYPE, ("a",)),
        ({"a": None}, {"a": {}}, Kind.TYPE, ("a",)),
        ({"a": [True]}, {"a": [1]}, Kind.TYPE, ("a[]",)),
        ({"a": [1, 2, 3]}, {"a": [3, 2, 1]}, Kind.ORDER, ("a[]",)),
        ({"a": [1, 2, 3]}, {"a": [1, 2]}, Kind.VALUE, ("a[]",)),
        ({"a": [{"b": 1}, {"b": 2}]}, {"a": [{"b": 1}, {"b": 3}]}, Kind.VALUE, ("a[].b",)),
        ({"a": [1, 2], "b": 1}, {"a": [2, 1], "b": "1"}, Kind.TYPE, ("a[]", "b")),
        ({"a.b": 1, "ü_1": 1}, {"a.b": 2, "ü_1": 2}, Kind.VALUE, ('"a.b"', "ü_1")),
    ],
)
def test_class_and_paths(origin: object, target: object, kind: Kind, paths: tuple[str, ...]) -> None:
    found = compared(origin, target)

    assert found is not None
    assert (found.kind, found.paths) == (kind, paths)


def test_many_paths_are_cut() -> None:
    found = compared({f"a{n}": 1 for n in range(100)}, {f"a{n}": 2 for n in range(100)})

    assert found is not None
    assert len(found.paths) == MAX_PATHS
    assert found.paths[-1] == "…"


def test_other_content_of_one_revision_is_certain_at_once() -> None:
    """I8: lag cannot make two contents of one revision."""
    assert compared(doc(x=1), doc(x=2)) == Difference(Kind.VALUE, ("x",), ("a",), same_revision=True)


def test_an_older_revision_is_stale_whatever_else_differs() -> None:
    assert compared(doc(x=1), doc(rev=OLD, x=2, y=3)) == Difference(Kind.STALE, (), ("a",))


def test_a_newer_revision_in_the_target_is_no_lag() -> None:
    assert compared(doc(rev=OLD), doc(rev=NEW)) == Difference(Kind.VALUE, ("_rev",), ("a",))
    assert compared(doc(rev=NEW), doc(rev="not a revision")) == Difference(Kind.VALUE, ("_rev",), ("a",))


_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([0.0, -0.0, 1.0, 1.5, 1e300])
    | st.sampled_from("ab"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


@given(_json, _json)
def test_values_differ_exactly_where_they_are_not_the_same(left: object, right: object) -> None:
    assert (compare_values(left, right) is None) == same(left, right)
    assert (canonical(left) == canonical(right)) == same(left, right)


def test_true_is_not_1_and_1_is_1_0() -> None:
    assert compare_values({"x": True}, {"x": 1}) == Difference(Kind.TYPE, ("x",))
    assert compare_values({"x": [False]}, {"x": [0]}) == Difference(Kind.TYPE, ("x[]",))
    assert compare_values({"x": 1}, {"x": 1.0}) is None


def test_canonical_bytes_of_what_no_utf8_holds() -> None:
    assert canonical("\ud800") == canonical("\ud800") != canonical("\ud801")


# ---- rows


def rows(*values: object, groups: tuple[int, ...] | None = None) -> TargetRows:
    return TargetRows(values, groups)


def test_unsorted_rows_are_a_multiset() -> None:
    assert compare_rows([1, 2, 2], rows(2, 1, 2)) is None
    assert compare_rows([1, 2, 2], rows(1, 1, 2)) == Difference(Kind.VALUE, ("[]",))


def test_runs_of_equal_sort_key_are_multisets_in_order() -> None:
    target = rows("a", "b", "c", "d", groups=(2, 1, 1))

    assert compare_rows(["b", "a", "c", "d"], target) is None
    assert compare_rows(["a", "c", "b", "d"], target) == Difference(Kind.ORDER, ("[]",))


def test_rows_that_limit_cuts_compare_by_membership() -> None:
    target = TargetRows([1, 10, 20], (1, 1, 1), first_run=[0, 1], last_run=[20, 21, 22])

    assert compare_rows([0, 10, 22], target) is None
    assert compare_rows([0, 10, 23], target) == Difference(Kind.VALUE, ("[]",))
    assert compare_rows([10, 10, 22], target) is not None


def test_one_run_cut_on_both_sides() -> None:
    assert compare_rows([3, 4], TargetRows([1, 2], (2,), last_run=[1, 2, 3, 4])) is None


def test_rows_that_are_documents_are_told_apart_by_identity() -> None:
    origin = [doc("a", x=1), doc("b", x=1), doc("c", x=1)]

    assert compare_rows(origin, rows(*origin[:2])) == Difference(Kind.MISSING, (), ("c",))
    assert compare_rows(origin[:2], rows(*origin)) == Difference(Kind.EXTRA, (), ("c",))
    assert compare_rows(origin, rows(doc("a", x=2), *origin[1:])) == Difference(
        Kind.VALUE, ("[].x",), ("a",), same_revision=True
    )
    assert compare_rows(origin, rows(doc("a", OLD, x=2), *origin[1:])) == Difference(Kind.STALE, (), ("a",))
    assert compare_rows(origin, rows(doc("d"), *origin[1:])) == Difference(
        Kind.MISSING, (), ("a",), also=(Difference(Kind.EXTRA, (), ("d",)),)
    )


def test_rows_without_identity() -> None:
    assert compare_rows([1, 2], rows(1)) == Difference(Kind.MISSING)
    assert compare_rows([1], rows(1, 2)) == Difference(Kind.EXTRA)
    assert compare_rows([{"n": 1}], rows({"n": "1"})) == Difference(Kind.TYPE, ("[].n",))
    same_key_twice = [doc("a", x=1), doc("a", x=2)]
    assert compare_rows(same_key_twice, rows(doc("a", x=3), doc("a", x=4))) == Difference(Kind.VALUE, ("[].x",), ("a",))


def test_no_rows() -> None:
    assert compare_rows([], rows(groups=())) is None
    assert compare_rows([], rows()) is None
    assert compare_rows([1], rows(groups=())) == Difference(Kind.MISSING)


def test_the_first_batch_of_ordered_rows() -> None:
    target = rows(1, 2, 3, 4, groups=(1, 2, 1))

    assert compare_rows([1, 3], target, partial=True) is None
    assert compare_rows([1, 4], target, partial=True) == Difference(Kind.VALUE, ("[]",))
    assert compare_rows([1, 2, 3, 4, 5], target, partial=True) == Difference(Kind.MISSING)


def test_the_first_batch_of_unordered_rows_tells_nothing() -> None:
    with pytest.raises(NotComparable, match="partial"):
        compare_rows([1], rows(1, 2), partial=True)


def test_arrays_that_a_scan_filled_have_no_order() -> None:
    origin, target = [{"g": [1, 2]}], [{"g": [2, 1]}]

    assert compare_rows(origin, TargetRows(target, (1,))) == Difference(Kind.ORDER, ("[].g[]",))
    assert compare_rows(origin, TargetRows(target, (1,), unordered=True)) is None
    assert compare_rows(origin, TargetRows([{"g": [2, 3]}], (1,), unordered=True)) == Difference(
        Kind.VALUE, ("[].g[]",)
    )
