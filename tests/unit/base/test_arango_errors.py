"""ArangoDB's error numbers: one table, and no number in the code that is not in it under its own name."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.base.arango_errors import ARANGO_ERRORS
from proxy.base.errors import MESSAGES, STATUS, ArangoError

ROOT = Path(__file__).resolve().parents[3]
# calls whose first number is an error's, and the keywords that have one
CALLS = {"ArangoError", "warn", "fail", "caution", "error"}
KEYWORDS = {"number", "code", "errorNum"}


def numbers_in(path: Path) -> Iterator[tuple[int, int, str | None]]:
    """Line, number and constant message of every error and warning that a module raises."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        if name not in CALLS:
            continue
        values = [*node.args, *(keyword.value for keyword in node.keywords if keyword.arg in KEYWORDS)]
        constants = [value.value for value in values if isinstance(value, ast.Constant)]
        texts = [value for value in constants if isinstance(value, str)]
        for value in constants:
            if isinstance(value, int) and not isinstance(value, bool):
                yield node.lineno, value, texts[-1] if texts else None


def modules() -> list[Path]:
    return sorted(path for folder in ("proxy", "backfill", "deploy") for path in (ROOT / folder).rglob("*.py"))


def test_every_number_in_the_code_is_in_the_table() -> None:
    # ArangoDB uses the HTTP status as the number if it has no other
    known = ARANGO_ERRORS.keys() | set(range(400, 600))
    found = [(path, line, number) for path in modules() for line, number, _ in numbers_in(path)]
    assert len(found) > 150
    assert [entry for entry in found if entry[2] not in known] == []


def test_no_number_is_given_the_message_of_another() -> None:
    own = {kind.message.lower(): kind.number for kind in ARANGO_ERRORS.values()}
    wrong = [
        (path, line, number, message)
        for path in modules()
        for line, number, message in numbers_in(path)
        if message is not None
        and (other := own.get(message.removeprefix("AQL: ").removesuffix(" (while executing)").lower())) is not None
        and ARANGO_ERRORS[other].message.lower() != ARANGO_ERRORS[number].message.lower()
        and number in ARANGO_ERRORS
        and not 400 <= number < 600
    ]
    assert wrong == []


def test_the_table_agrees_with_a_driver() -> None:
    names = {
        number: name
        for name, number in vars(importlib.import_module("arango.errno")).items()
        if name.isupper() and isinstance(number, int)
    }
    assert {number: kind.name.removeprefix("ARANGO_") for number, kind in ARANGO_ERRORS.items()} == {
        number: names[number].removeprefix("ARANGO_") for number in ARANGO_ERRORS
    }


def test_statuses_and_messages_are_of_numbers_that_there_are() -> None:
    assert STATUS.keys() - ARANGO_ERRORS.keys() - set(range(400, 600)) == set()
    assert MESSAGES.keys() - ARANGO_ERRORS.keys() - set(range(400, 600)) == set()


@pytest.mark.parametrize(
    ("number", "status", "message"),
    [
        (1225, 409, "out of keys"),
        (1543, 400, "invalid regex value"),
        (1563, 400, "array expected"),
        (1572, 400, "invalid date value"),
        (1948, 400, "negative edge weight found"),
    ],
)
def test_numbers_that_were_mistaken_for_others(number: int, status: int, message: str) -> None:
    error = ArangoError(number)
    assert (error.status, error.message) == (status, message)
