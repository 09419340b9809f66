"""A push makes ArangoDB have the versions, whatever it had, and writes no revision over itself."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxy.reverse.batch import Version, batch_of, keys_of, of_first_database
from proxy.reverse.plan import plan
from sql.statements.outbox import OutboxRow

_KEYS = st.sampled_from("abcdef")
_REVISIONS = st.integers(1, 4)
_VERSIONS = st.dictionaries(_KEYS, st.none() | _REVISIONS).map(
    lambda found: [Version(key, rev or 9, None if rev is None else b"{}") for key, rev in found.items()]
)
_THERE = st.dictionaries(_KEYS, _REVISIONS)


@given(_VERSIONS, _THERE, st.booleans())
def test_afterwards_arangodb_has_the_versions(
    versions: list[Version], there: dict[str, int], removes_first: bool
) -> None:
    planned = plan(versions, there, removes_first=removes_first)
    after = dict(there)
    for key in planned.removals:
        del after[key]
    for version in planned.writes:
        assert version.raw is not None
        assert after.get(version.key) != version.rev
        assert not (removes_first and version.key in after)
        after[version.key] = version.rev
    wanted = {version.key: version.rev for version in versions if version.raw is not None}
    named = {version.key for version in versions}
    assert after == {key: rev for key, rev in there.items() if key not in named} | wanted


@given(_VERSIONS, _THERE, st.booleans())
def test_a_second_push_does_nothing(versions: list[Version], there: dict[str, int], removes_first: bool) -> None:
    had = {version.key: version.rev for version in versions if version.raw is not None}
    assert plan(versions, had, removes_first=removes_first).writes == ()
    assert plan(versions, had, removes_first=removes_first).removals == ()


@given(
    st.lists(st.tuples(st.sampled_from(["x/c", "x/d", "y/c"]), _KEYS), min_size=1, max_size=12),
    st.integers(0, 12),
)
def test_only_rows_whose_documents_were_read_are_confirmed(named: list[tuple[str, str]], cut: int) -> None:
    rows = [OutboxRow(number + 1, collection, key) for number, (collection, key) in enumerate(named)]
    mine = of_first_database(rows)
    assert {row.collection[0] for row in mine} == {rows[0].collection[0]}
    found: dict[str, list[Version]] = {}
    left = cut
    for collection, keys in keys_of(mine, {}).items():
        if left > 0:
            found[collection] = [Version(key, 1, b"{}") for key in keys[:left]]
            left -= len(keys)
    batch = batch_of(mine, found, all_rows=len(mine) == len(rows))
    for row in mine:
        name = row.collection.partition("/")[2]
        assert (row.id in batch.ids) == batch.has(name, row.key)
    assert batch.whole == (set(batch.ids) == {row.id for row in rows})


def test_rows_of_a_collection_that_is_gone_carry_nothing() -> None:
    rows = [OutboxRow(1, "x/c", "a"), OutboxRow(2, "x/d", "a")]
    batch = batch_of(rows, {"x/c": [], "x/d": [Version("a", 1, None)]}, all_rows=True)
    assert batch.ids == (1, 2)
    assert list(batch.versions) == ["d"]
    assert batch.whole


def test_documents_along_come_after_those_of_the_rows() -> None:
    rows = [OutboxRow(1, "x/c", "b"), OutboxRow(2, "x/c", "a"), OutboxRow(3, "x/c", "b")]
    assert keys_of(rows, {"x/c": ["z", "a"]}) == {"x/c": ["b", "a", "z"]}
