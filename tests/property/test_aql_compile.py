"""The evaluator and the compiled SQL agree on random documents and queries. `AQL_CASES=20000` runs more."""

from __future__ import annotations

import os
import random
from collections import Counter
from dataclasses import replace

import pytest

from proxy.aql import analyse, parse
from proxy.aql.compile import Compiled
from proxy.aql.requests import QueryOptions
from proxy.aql.values import hash_key
from proxy.base.errors import ArangoError, StatementError
from proxy.shadow.diff.documents import TargetRows, compare_rows
from proxy.stores.postgres.catalog import Catalog
from proxy.stores.postgres.compiled_queries import Statements, inexact
from proxy.stores.postgres.read_fence import QueryLimits
from tests.ad_hoc import Database
from tests.integration.compile_fixtures import BothDatabases
from tests.property.aql_queries import Maker, documents, edges

CASES = int(os.environ.get("AQL_CASES", "2000"))
ROUNDS = 4  # with other documents in each


@pytest.mark.parametrize("seed", range(ROUNDS))
async def test_the_compiled_statement_agrees_with_the_evaluator(database: Database, seed: int) -> None:
    rng = random.Random(int(os.environ.get("AQL_SEED", "0")) * 1000 + seed)
    both = BothDatabases(database)
    statements = Statements(database, Catalog(database), QueryLimits())
    maker = Maker(rng)
    answered = refused = failed = 0
    for case in range(CASES // ROUNDS):
        if case % 60 == 0:
            await both.fill("c", documents(rng, 14))
            await both.fill("f", documents(rng, 8))
            await both.fill("g", edges(rng, 10, 9), edge=True)
            await both.fill("h", edges(rng, 5, 9), edge=True)
        text = maker.query()
        query, binds = parse(text), maker.binds
        plan = both.compiled(text, binds)
        if not isinstance(plan, Compiled):
            continue
        try:
            expected = both.evaluated(text, binds)
        except ArangoError:
            expected = None
        try:
            found = (await statements.unfinished(plan, binds, QueryOptions(database="db"))).result()
        except StatementError as error:
            if not inexact(error):
                raise
            refused += 1
            continue
        except ArangoError:
            assert expected is None, (text, binds)
            failed += 1
            continue
        assert expected is not None, (text, binds)
        facts = analyse(query, binds)
        cut = found.cut or (None, None)
        rows = TargetRows(found.rows, found.groups, cut[0], cut[1], facts.unordered or not facts.deterministic)
        difference = compare_rows(expected.rows, rows)
        if difference is not None and "DISTINCT" in text:  # which of the equal {} and {k: null} is given is undefined
            assert Counter(map(hash_key, expected.rows)) == Counter(map(hash_key, found.rows)), (text, binds)
            continue
        assert difference is None, (text, binds, expected.rows, found.rows, difference, plan.sql)
        assert len(expected.rows) == len(found.rows), (text, binds)
        if expected.groups is not None and plan.order:
            assert expected.groups == found.groups, (text, binds, expected.rows, found.rows)
        assert [w.code for w in expected.warnings] == [w.code for w in found.warnings], (text, binds)
        answered += 1
    assert answered > (answered + refused + failed) * 0.6, (answered, refused, failed)
    assert answered > CASES // ROUNDS * 0.4, (answered, refused, failed)


@pytest.mark.parametrize("seed", range(ROUNDS))
async def test_rows_are_in_the_order_of_the_loops_without_a_sort(database: Database, seed: int) -> None:
    rng = random.Random(int(os.environ.get("AQL_SEED", "0")) * 1000 + seed)
    both = BothDatabases(database)
    maker = Maker(rng)
    answered = 0
    for case in range(CASES // ROUNDS // 4):
        if case % 60 == 0:
            await both.fill("c", documents(rng, 14))
            await both.fill("f", documents(rng, 8))
        text = maker.ordered()
        try:
            expected = both.evaluated(text, maker.binds).rows
        except ArangoError:
            continue
        found = await both.answered(text, maker.binds)
        if isinstance(found, str):
            continue
        plan, rows = found
        assert list(map(hash_key, rows)) == list(map(hash_key, expected)), (text, maker.binds, expected, rows, plan.sql)
        answered += 1
    assert answered > CASES // ROUNDS // 4 * 0.5, answered


@pytest.mark.parametrize(
    ("text", "ordered"),
    [
        ("FOR d IN c RETURN d", False),  # in storage order: a result as large as the collection is not sorted
        ("FOR d IN c FILTER d.i > 0 RETURN d", False),
        ("FOR d IN c LIMIT 10, 5 RETURN d", True),
        ("FOR d IN c RETURN DISTINCT d.i", True),
        ("FOR x IN [2, 1] FOR d IN c RETURN d", True),
        ("FOR d IN c FOR e IN f FILTER e.i == d.i RETURN e", True),
    ],
)
async def test_a_large_collection_is_sorted_if_the_order_decides_the_result(
    database: Database, text: str, ordered: bool
) -> None:
    both = BothDatabases(database)
    await both.fill("c", [{"i": 1}])
    await both.fill("f", [{"i": 1}])
    both.tables = {name: replace(table, small=False) for name, table in both.tables.items()}
    plan = both.compiled(text)
    assert isinstance(plan, Compiled)
    assert ("ORDER BY" in plan.sql) is ordered
