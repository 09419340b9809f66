"""The rules of AQL that surprise, one named test each (semantics page, marked [!])."""

from __future__ import annotations

import pytest

from proxy.aql import compare, order_key, sort_key
from proxy.base.errors import ArangoError
from tests.unit.aql.store import Store, value_of, warnings_of


def names(condition: str) -> list[str]:
    store = Store(
        docs=[
            {"n": "missing"},
            {"n": "null", "x": None},
            {"n": "bool", "x": True},
            {"n": "number", "x": 40},
            {"n": "string", "x": "a"},
            {"n": "array", "x": []},
            {"n": "object", "x": {}},
        ]
    )
    return store.rows(f"FOR d IN docs FILTER {condition} SORT d._key RETURN d.n")


def test_a_missing_attribute_is_less_than_any_number() -> None:
    assert names("d.x < 39") == ["missing", "null", "bool"]


def test_strings_arrays_and_objects_are_greater_than_any_number() -> None:
    assert names("d.x > 39") == ["number", "string", "array", "object"]


def test_not_equal_and_not_in_match_missing_attributes() -> None:
    assert names("d.x != 'a'") == ["missing", "null", "bool", "number", "array", "object"]
    assert names("d.x NOT IN ['a', 40]") == ["missing", "null", "bool", "array", "object"]


def test_null_is_in_a_list_that_has_null() -> None:
    assert names("d.x IN [null]") == ["missing", "null"]


def test_in_and_not_in_are_false_if_the_right_operand_is_not_an_array() -> None:
    assert value_of("[1 IN null, 1 NOT IN null, 1 IN 'a', 1 NOT IN {}]") == [False] * 4


def test_types_are_ordered_and_comparison_is_two_valued() -> None:
    values = [None, False, True, -1, 0, 1.5, "", "A", "a", "b", [], [0], [0, 1], {}, {"b": 1}, {"a": 0}]
    backwards = values[::-1]
    assert sorted(backwards, key=order_key) == values
    for i, a in enumerate(values):
        for j, b in enumerate(values):
            assert compare(a, b) == (i > j) - (i < j), (a, b)


def test_arrays_and_objects_pad_with_null() -> None:
    assert value_of("[[1] == [1, null], {} == {a: null}, [] < [0], {b: 1} < {a: 0}, [1] != [1, null]]") == [
        True, True, True, True, False,
    ]  # fmt: skip


def test_numbers_compare_across_kinds_and_other_values_are_not_cast() -> None:
    assert value_of("[1 == 1.0, '1' == 1, 0 == false, 1 == true, null == false]") == [True] + [False] * 4


def test_strings_are_ordered_as_icu_does_with_upper_case_first() -> None:
    assert sorted(["c", "A", "j", "a", "C", "P"], key=sort_key) == ["A", "a", "C", "c", "j", "P"]
    assert sorted(["a", "A", "5", "1", "0", "-", "_"], key=sort_key) == ["_", "-", "0", "1", "5", "A", "a"]
    assert value_of("['?' > '0', 'a' < 'B', 'a' == 'A']") == [False, True, False]
    assert sort_key("\u00e9") < sort_key("e\u0301")  # of equal collation the shorter comes first
    assert sort_key("\ud800") != sort_key("")


def test_empty_arrays_and_objects_are_true() -> None:
    assert value_of("[!![], !!{}, !!'', !!0, !!null, !!'0']") == [True, True, False, False, False, True]


def test_and_and_or_choose_values() -> None:
    assert value_of("[null || 'x', 0 || [], 1 && 'y', '' && 1, 5 || 6, null ?: 3, 2 ?: 3]") == [
        "x", [], "y", "", 5, 3, 2,
    ]  # fmt: skip


def test_not_binds_tighter_than_comparison() -> None:
    assert value_of("[NOT 1 == false, NOT 0 == false, !1 IN [false]]") == [True, False, True]


def test_there_is_no_string_plus() -> None:
    assert value_of("['foo' + 'bar', null + 1, '3' + ' 4 ', [7] + 1, [1, 2] + 1, {} + 1, true + true, 'x1' + 1]") == [
        0, 1, 7, 8, 1, 1, 2, 1,
    ]  # fmt: skip


def test_arithmetic_is_of_doubles_and_prints_as_arangodb_does() -> None:
    assert value_of("[5 / 2, 6 / 2, 7 % 4, -7 % 4, NOOPT(9007199254740993) + 0, -0 * 1, 1 - 1.5, +'5', -'x']") == [
        2.5, 3, 3, -3, 9007199254740992, 0, -0.5, 5, 0,
    ]  # fmt: skip
    assert value_of("9007199254740993 + 0") == 9007199254740993  # constants are folded exactly
    assert (
        value_of("CONCAT(0.1, '|', 6 / 2, '|', NOOPT(10000) * 10000, '|', 1e21, '|', 2e-7)") == "0.1|3|1e+8|1e+21|2e-7"
    )


def test_division_by_zero_is_null_with_a_warning() -> None:
    assert value_of("[1 / 0, 1 % 0, 1 / null]") == [None, None, None]
    assert warnings_of("1 / 0") == [1562]
    assert value_of("NOOPT(1e308) * 10") is None


def test_rounding_goes_up() -> None:
    assert value_of("[ROUND(-2.5), ROUND(2.5), ROUND(-2.6)]") == [-2, 3, -3]


def test_access_to_what_is_not_there_is_null() -> None:
    assert value_of(
        "[('abc')[0], [1, 2][-1], [1, 2][5], [1, 2][1.7], [1, 2]['1'], {'1': 'x'}[1], {a: 1}['a'], [1][null], "
        "{a: 1}.b.c.d, ('x').y, [1][true], {a: 1}[null], [1]['x']]"
    ) == [None, 2, None, 2, 2, "x", 1, None, None, None, None, None, None]


def test_an_expansion_of_what_is_no_array_is_empty() -> None:
    assert value_of("[null[*].a, 'x'[*], {a: 1}[*].a]".replace("null[", "(null)[").replace("'x'[", "('x')[")) == [
        [],
        [],
        [],
    ]


def test_expansions_project_flatten_filter_and_nest() -> None:
    x = "[{a: [1, 2]}, {a: [3]}, {}]"
    assert value_of(f"{x}[*].a") == [[1, 2], [3], None]
    assert value_of(f"{x}[*].a[0]") == [1, 3, None]
    assert value_of(f"({x}[*].a)[0]") == [1, 2]
    assert value_of(f"{x}[*].a[*]") == [[1, 2], [3], []]
    assert value_of(f"{x}[*].a[**]") == [1, 2, 3, None]
    assert value_of(f"{x}[* FILTER CURRENT.a LIMIT 1, 1 RETURN CURRENT.a[0]]") == [3]
    assert value_of(f"{x}[*].a[* FILTER CURRENT > 1]") == [[2], [3], []]
    assert value_of("[[[1]], [[2]]][***]") == [1, 2]
    assert value_of("[1, 2, 3][* LIMIT 0]") == []


def test_array_tests_and_quantifiers() -> None:
    assert value_of(
        "[[1][?], [][?], (1)[?], [1, 2][? FILTER CURRENT > 1], [1, 2][? ALL FILTER CURRENT > 1], "
        "[1, 2][? 2 FILTER CURRENT], [1, 2, 3][? 1..2 FILTER CURRENT > 1], [1, 2][? NONE FILTER CURRENT > 2], "
        "[1, 2][? AT LEAST (2) FILTER CURRENT], [[1], [2]][?? FILTER CURRENT == 2]]"
    ) == [True, False, False, True, False, True, True, True, True, True]
    assert value_of(
        "[null ANY == 1, [] ALL == 1, [] NONE == 1, [] ANY == 1, [1, 2] ALL IN [1, 2, 3], [1] ANY IN 1, "
        "[1, 2] AT LEAST (2) > 0, [1, 2] NONE NOT IN [1, 2], [1, 2] ANY >= 2]"
    ) == [False, True, True, False, True, False, True, True, True]


def test_of_equal_attribute_names_the_first_wins_and_computed_ones_are_text() -> None:
    assert value_of("{a: 1, ['a']: 2, [1 + 1]: 3, [null]: 4}") == {"a": 1, "2": 3, "": 4}


def test_for_over_null_is_an_error_and_or_empty_the_idiom() -> None:
    with pytest.raises(ArangoError) as caught:
        Store().query("FOR x IN null RETURN x")
    assert caught.value.number == 1563
    assert "value of type 'null'" in caught.value.message
    assert Store().rows("FOR x IN null || [] RETURN x") == []


def test_nulls_sort_first_and_last_when_descending() -> None:
    store = Store(d=[{"n": 1, "x": 5}, {"n": 2}, {"n": 3, "x": "a"}, {"n": 4, "x": False}])
    assert store.rows("FOR d IN d SORT d.x RETURN d.n") == [2, 4, 1, 3]
    assert store.rows("FOR d IN d SORT d.x DESC RETURN d.n") == [3, 1, 4, 2]


def test_the_first_of_two_limits_is_the_offset() -> None:
    assert Store().rows("FOR i IN 1..9 LIMIT 2, 3 RETURN i") == [3, 4, 5]


def test_return_null_emits_a_row_and_a_final_modification_none() -> None:
    assert Store().rows("RETURN null") == [None]
    assert Store(c=[]).rows("INSERT {} INTO c") == []


def test_subqueries_keep_nulls_and_see_what_is_outside() -> None:
    assert Store().rows("FOR i IN 1..2 RETURN (FOR j IN 1..2 RETURN i == j ? null : i)") == [[None, 1], [2, None]]


def test_a_variable_hides_a_collection_of_its_name() -> None:
    assert Store(sync=[{"a": 1}]).rows("FOR sync IN sync RETURN sync.a") == [1]


def test_like_is_of_the_whole_text_and_takes_anything_for_text() -> None:
    assert value_of("['abc' LIKE 'b', 'abc' LIKE '%b%', null LIKE '%', 'a\\nb' LIKE 'a_b', 12 LIKE '1%']") == [
        False, True, True, True, True,
    ]  # fmt: skip


def test_an_empty_search_is_never_found() -> None:
    assert value_of("[CONTAINS('abc', ''), CONTAINS('abc', '', true)]") == [False, -1]


def test_merge_of_anything_but_objects_is_null_with_a_warning() -> None:
    assert value_of("[MERGE({a: 1}, null), MERGE([{a: 1}, {b: 2}]), MERGE([])]") == [None, {"a": 1, "b": 2}, {}]
    assert warnings_of("MERGE({a: 1}, null)") == [1542]


def test_length_of_each_type() -> None:
    assert value_of("[LENGTH(null), LENGTH(false), LENGTH(true), LENGTH(123.5), LENGTH('ä😀'), LENGTH({a: 1})]") == [
        0, 0, 1, 5, 2, 1,
    ]  # fmt: skip


def test_only_has_distinguishes_null_from_missing() -> None:
    assert value_of("[HAS({a: null}, 'a'), HAS({}, 'a'), HAS(null, 'a')]") == [True, False, False]


def test_concat_skips_nulls_and_joins_a_single_array() -> None:
    assert value_of("[CONCAT('a', null, 1), CONCAT(['a', null, 1]), CONCAT_SEPARATOR(',', 'a', null, [1, 2])]") == [
        "a1", "a1", "a,[1,2]",
    ]  # fmt: skip


def test_a_ternary_and_a_logical_operator_run_only_the_subquery_that_is_needed() -> None:
    assert value_of("1 ? 'x' : (FOR i IN null RETURN i)") == "x"
    assert value_of("0 && (FOR i IN null RETURN i)") == 0
    assert Store().rows("LET x = null RETURN x ? (FOR i IN x RETURN i) : []") == [[]]


def test_in_binds_tighter_than_equality_and_a_sum_tighter_than_a_range() -> None:
    assert value_of("[1 == 1 IN [1], true == 1 IN [1], 1..1+2, 1..2*2]") == [False, True, [1, 2, 3], [1, 2, 3, 4]]


def test_not_applies_to_the_left_side_of_like_and_negated_operators_are_single_ones() -> None:
    assert value_of("[NOT 'abc' LIKE 'a%', NOT 'abc' LIKE 'false', 'abc' NOT LIKE 'a%', 'b' NOT LIKE 'a%']") == [
        False, True, False, True,
    ]  # fmt: skip
    assert value_of("['abc' NOT =~ 'b', 'abc' !~ 'x', 1 NOT IN [2]]".replace("NOT =~", "!~")) == [False, True, True]


def test_or_replaces_whatever_is_false() -> None:
    assert value_of("[0 || [], false || [], '' || [], null || [], [] || 1, {} || 1]") == [[], [], [], [], [], {}]


def test_no_null_leaks_out_of_a_membership() -> None:
    assert value_of("[1 IN [null, 2], 1 NOT IN [null, 2], null NOT IN [1], null IN []]") == [False, True, True, False]


def test_a_subquery_without_rows_is_an_empty_array() -> None:
    store = Store(docs=[{"x": 1}])
    assert store.rows("FOR d IN docs RETURN (FOR e IN docs FILTER e.x == 2 RETURN e)") == [[]]
    assert store.rows("RETURN FIRST(FOR e IN docs FILTER e.x == 2 RETURN e)") == [None]


def test_a_sum_over_no_rows_is_null_in_an_aggregate_and_nought_as_a_function() -> None:
    store = Store(docs=[])
    assert store.rows("FOR d IN docs COLLECT AGGREGATE s = SUM(d.x), n = COUNT(d) RETURN [s, n]") == [[None, 0]]
    assert value_of("SUM([])") == 0


def test_regular_expressions_are_icus() -> None:
    assert value_of(
        "[REGEX_TEST('a1', '\\\\d'), 'Äpfel' =~ '^\\\\p{Lu}', REGEX_TEST('x', '('), REGEX_TEST('aXb', 'x', true), "
        "REGEX_REPLACE('ab', '(a)(b)', '$2$1')]"
    ) == [True, True, None, True, "ba"]
    assert warnings_of("REGEX_TEST('x', '(')") == [1543]
