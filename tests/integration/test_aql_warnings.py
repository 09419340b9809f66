"""Conditions on PostgreSQL whose operands warn: they are refused as they run, so that the evaluator warns."""

from __future__ import annotations

import pytest

from tests.ad_hoc import Database
from tests.integration.compile_fixtures import BothDatabases


@pytest.fixture
async def both(database: Database) -> BothDatabases:
    databases = BothDatabases(database)
    await databases.fill("c", [{"x": [2], "t": "b"}, {"x": None}])
    return databases


@pytest.mark.parametrize(
    ("condition", "code"),
    [
        ("POSITION(d.x, 1) == 'a'", 1563),  # false whatever the operand is
        ("LENGTH(UNIQUE(d.x)) == null", 1563),
        ("PARSE_KEY(d.t) IN 5", 1542),
        ("UNIQUE(d.x) ANY IN 'a'", 1563),
    ],
)
async def test_an_operand_that_warns_is_computed(both: BothDatabases, condition: str, code: int) -> None:
    text = f"FOR d IN c FILTER {condition} RETURN d"
    answer = await both.answered(text)
    assert isinstance(answer, str)
    assert answer.startswith("refused")
    assert {warning.code for warning in both.evaluated(text).warnings} == {code}


async def test_a_key_compared_with_another_type_reads_no_documents(both: BothDatabases) -> None:
    answer = await both.answered("FOR d IN c FILTER d._key == 5 OR d._key IN 'a' RETURN d")
    assert not isinstance(answer, str)
    plan, rows = answer
    assert rows == []
    assert "CASE" not in plan.sql
