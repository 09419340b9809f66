"""The functions: what each gives for usual, odd and wrong arguments. A wrong one gives null and a warning."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from proxy.aql.functions.registry import REGISTRY
from proxy.aql.signatures import FETCHING, FUNCTIONS, UNSUPPORTED
from tests.unit.aql.store import Store, value_of, warnings_of

# known to the parser and to no store of ours, each refused by its name
NOT_BUILT = {"HASH", "MINHASH", "SCHEMA_VALIDATE", "MAKE_DISTRIBUTE_INPUT"}

TRANSCRIPT = Path(__file__).with_name("functions.txt").read_text(encoding="utf-8")


def cases() -> list[Any]:
    """The pairs of the transcript: an expression at the margin, its value indented below."""
    lines = [line for line in TRANSCRIPT.splitlines() if line and not line.startswith("#")]
    return [
        pytest.param(expression, json.loads(value), id=expression[:60])
        for expression, value in zip(lines[::2], lines[1::2], strict=True)
    ]


@pytest.mark.parametrize(("expression", "expected"), cases())
def test_function(expression: str, expected: object) -> None:
    found = value_of(expression)
    assert json.loads(json.dumps(found)) == expected, found


def test_every_function_that_the_parser_knows_is_there_or_refused_by_name() -> None:
    known = FUNCTIONS.keys() - UNSUPPORTED.keys() - FETCHING
    assert known - REGISTRY.keys() == NOT_BUILT
    assert REGISTRY.keys() <= known


def test_every_function_is_tested_here() -> None:
    called = set(re.findall(r"[A-Z][A-Z0-9_]+(?=\()", TRANSCRIPT)) | {
        "FAIL",
        "SLEEP",
        "CURRENT_USER",
        "CURRENT_DATABASE",
    }
    aliases = {"VARIANCE_POPULATION", "STDDEV_POPULATION", "IS_ARRAY"}
    elsewhere = aliases | {"CONCAT", "CONCAT_SEPARATOR", "CONTAINS", "COUNT", "DATE_NOW", "HAS", "MERGE"}
    assert REGISTRY.keys() - called - elsewhere == set()


@pytest.mark.parametrize(
    ("expression", "code"),
    [
        ("FIRST(1)", 1542), ("DATE_YEAR('x')", 1592), ("REGEX_TEST('a', '(')", 1560), ("WARN(false, 'w')", 1594),
        ("KEEP(1, 'a')", 1542), ("DOCUMENT('nosuch/1')", 1203),
    ],
)  # fmt: skip
def test_warnings(expression: str, code: int) -> None:
    assert warnings_of(expression) == [code]


@pytest.mark.parametrize(
    "name", sorted(REGISTRY.keys() - {"FAIL", "ASSERT", "SLEEP", "CALL", "APPLY", "DATE_TIMEZONES", "REPEAT"})
)
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
            store.query(f"RETURN {name}({arguments})", {f"a{n}": odd for n in range(count)})
