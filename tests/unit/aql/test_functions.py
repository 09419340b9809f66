"""The functions: the result of each for usual, odd and wrong arguments. A wrong one gives null and a warning."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from proxy.aql.functions import FUNCTIONS
from proxy.aql.functions.sql_calls import SQL_FORMS
from proxy.aql.signatures import FETCHING, UNSUPPORTED
from proxy.base.errors import ArangoError
from tests.unit.aql.store import Store, value_of, warnings_of

# known to the parser and not implemented, each refused by its name
NOT_BUILT = {"MINHASH", "SCHEMA_VALIDATE", "MAKE_DISTRIBUTE_INPUT"}

IMPLEMENTED = {name for name, function in FUNCTIONS.items() if function.implementation is not None}

TRANSCRIPT = Path(__file__).with_name("functions.txt").read_text(encoding="utf-8")


def cases() -> list[Any]:
    """Return the pairs of the transcript: an expression at the margin, its value indented below it."""
    lines = [line for line in TRANSCRIPT.splitlines() if line and not line.startswith("#")]
    return [
        pytest.param(expression, json.loads(value), id=expression[:60])
        for expression, value in zip(lines[::2], lines[1::2], strict=True)
    ]


@pytest.mark.parametrize(("expression", "expected"), cases())
def test_function(expression: str, expected: object) -> None:
    found = value_of(expression)
    assert json.loads(json.dumps(found)) == expected, found


def test_every_known_function_is_implemented_or_refused_by_name() -> None:
    known = FUNCTIONS.keys() - UNSUPPORTED - FETCHING
    assert known - IMPLEMENTED == NOT_BUILT
    assert known >= IMPLEMENTED


def test_every_sql_form_is_that_of_a_function() -> None:
    assert SQL_FORMS.keys() <= IMPLEMENTED


def test_every_function_is_tested_here() -> None:
    called = set(re.findall(r"[A-Z][A-Z0-9_]+(?=\()", TRANSCRIPT)) | {
        "FAIL",
        "SLEEP",
        "CURRENT_USER",
        "CURRENT_DATABASE",
    }
    aliases = {"VARIANCE_POPULATION", "STDDEV_POPULATION", "IS_ARRAY"}
    elsewhere = aliases | {"CONCAT", "CONCAT_SEPARATOR", "CONTAINS", "COUNT", "DATE_NOW", "HAS", "MERGE"}
    assert IMPLEMENTED - called - elsewhere == set()


@pytest.mark.parametrize(
    ("expression", "code"),
    [
        ("FIRST(1)", 1563), ("DATE_YEAR('x')", 1572), ("REGEX_TEST('a', '(')", 1543), ("WARN(false, 'w')", 1594),
        ("REGEX_REPLACE('a', 'a', '$1')", 1543),
        ("KEEP(1, 'a')", 1542), ("DATE_YEAR(true)", 1542), ("DATE_YEAR(0, 1)", 1542), ("SUM('a')", 1563),
        ("VARIANCE([1, 'a'])", 1561), ("AVERAGE([1, 'a'])", 1563), ("UNION([], 1)", 1542),
        ("INTERSECTION([], 1)", 1563),
        ("REPEAT('abc', 99999999)", 32), ("NGRAM_SIMILARITY('a', 'b', 0)", 10), ("SUBSTRING_BYTES(1, 1)", 10),
        ("SUBSTITUTE('a', {}, 1, 1)", 1541), ("COSINE_SIMILARITY([0], [1])", 1561), ("ASSERT(true, 1)", 1542),
        ("KEEP({}, [1])", 1542), ("DATE_ADD(0, 1, 'sugar')", 1572), ("APPLY('UPPER', 1)", 1542),
        ("DATE_TRUNC(0, 'week')", 1572), ("DATE_ROUND(0, 1, 'week')", 1542), ("1e999", 1504),
        ("1e308 * 10", 1504), ("[-1e308 - 1e308]", 1504), ("'1e308' * 100", 1504), ("POW(10, 308) * 10", 1504),
        ("1 / 0", 1562), ("1e308 % null", 1562), ("DECAY_EXP(1, 1, 0, 1, 0.5)", 1504),
        ("DECAY_EXP('a', 1, 1, 1, 0.5)", 1542), ("DECODE_REV(' ')", 1542),
    ],
)  # fmt: skip
def test_warnings(expression: str, code: int) -> None:
    assert warnings_of(expression) == [code]


@pytest.mark.parametrize(
    "expression",
    [
        "DOCUMENT('nosuch/1')",
        "DOCUMENT('nosuch', {})",
        "DOCUMENT({_id: 'people/1'})",
        "SUM([1, 'a'])",
        "SPLIT('a', '', -1)",
        "NOOPT(1e308) * 10",
    ],
)
def test_what_is_null_without_a_warning(expression: str) -> None:
    store = Store(people=[{}])
    result = store.query(f"RETURN {expression}")
    assert (result.rows, result.warnings) == ([None], ())


@pytest.mark.parametrize(
    ("expression", "number"),
    [
        ("RANDOM_TOKEN(-1)", 1542), ("RANDOM_TOKEN(65537)", 1542), ("REPLACE_NTH([], null, 1)", 1542),
        ("REPLACE_NTH([1], 2, 1)", 1542), ("CALL(1)", 1542), ("APPLY([], [])", 1542), ("CALL('UPPER')", 1541),
        ("CALL('nosuch')", 1540), ("DATE_HOUR(0, 'No/Where')", 4), ("DATE_UTCTOLOCAL(0, 'No/Where')", 4),
        ("FAIL(1)", 1569), ("ASSERT(false, 'a')", 1593), ("SHARD_ID(1, {})", 10), ("SHARD_ID('a', 1)", 10),
        ("SHARD_ID('nosuch', {})", 1203),
        # local times that occur never, or twice
        ("DATE_LOCALTOUTC('2021-03-28T02:30', 'Europe/Berlin')", 4),
        ("DATE_LOCALTOUTC('2021-10-31T02:30', 'Europe/Berlin')", 4),
        ("DATE_ADD('2021-03-27T01:30Z', 'P1D', 'Europe/Berlin')", 4),
        ("DATE_TRUNC('2018-11-04T15:00Z', 'day', 'America/Sao_Paulo')", 4),
    ],
)  # fmt: skip
def test_what_ends_the_query(expression: str, number: int) -> None:
    with pytest.raises(ArangoError) as caught:
        value_of(expression)
    assert caught.value.number == number


def test_a_warning_names_its_function() -> None:
    result = Store().query("RETURN [FIRST(1), DATE_YEAR('x'), KEEP(1, 'a')]")
    assert [warning.message for warning in result.warnings] == [
        "in function 'FIRST()': array expected",
        "in function 'DATE_YEAR()': invalid date value",
        "invalid argument type in call to function 'KEEP()'",
    ]


def test_calls_of_constants_are_computed_once() -> None:
    """Before the first row, also if there is no row, and with integers if all are integers."""
    store = Store()
    assert [warning.code for warning in store.query("FOR i IN 1..3 RETURN [1 / 0, DATE_YEAR('x')]").warnings] == [
        1562,
        1572,
    ]
    assert [warning.code for warning in store.query("FOR i IN 1..3 RETURN i / 0").warnings] == [1562] * 3
    assert [warning.code for warning in store.query("FOR i IN [] RETURN 1 / 0").warnings] == [1562]
    text = "LET a = 1e200 FOR d IN c FILTER d.x == 1 / 0 RETURN a * a"
    assert sorted(warning.code for warning in Store(c=[{"x": 1}]).query(text).warnings) == [1504, 1562]
    names = "LET a = (LET x = 1 RETURN x + 1) LET b = (FOR x IN [3] RETURN x) LET x = 5 RETURN [a, b, x]"
    assert store.query(names).rows == [[[2], [3], 5]]
    assert store.query("RETURN [9007199254740993 % 10, -7 % 3, 9007199254740993 / -1, 7 / 2]").rows == [
        [3, -1, -9007199254740993, 3.5]
    ]


def number_of(store: Store, text: str, binds: dict[str, Any]) -> int:
    """Return the number of the error that a query ends with; 0 if it has a result."""
    try:
        store.query(text, binds)
    except ArangoError as error:
        return error.number
    return 0


ENDING = {"FAIL", "ASSERT", "SLEEP", "CALL", "APPLY", "DATE_TIMEZONES", "REPEAT", "RANDOM_TOKEN", "REPLACE_NTH"}


@pytest.mark.parametrize("name", sorted(IMPLEMENTED - ENDING))
def test_no_argument_makes_a_function_fail(name: str) -> None:
    signature = FUNCTIONS[name]
    store = Store()
    for odd in (
        None,
        True,
        -1,
        1.5,
        1e308,
        "",
        "x",
        "2020-01-01",
        "-5",
        [],
        [1, "a", None],
        [[1], [2]],
        {},
        {"a": [1]},
    ):
        for count in {signature.least, signature.least + 1 if signature.most is None else signature.most}:
            arguments = ", ".join(f"@a{n}" for n in range(count))
            binds = {f"a{n}": odd for n in range(count)}
            assert number_of(store, f"RETURN {name}({arguments})", binds) in (0, 4)  # 4: the text is not a time zone
