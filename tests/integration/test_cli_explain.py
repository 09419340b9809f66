"""`crossfade explain` on a real PostgreSQL: what is compiled, what is not, which index is missing."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from typer.testing import CliRunner

import proxy.cli
from proxy.aql import analyse, parse
from proxy.aql.compile import NotCompiled
from proxy.base.errors import ArangoError, PreconditionFailed
from proxy.cli.doctor import _postgresql
from proxy.cli.explain import binds_of, examine
from proxy.stores.postgres.catalog import Catalog
from proxy.stores.postgres.compiled_queries import Statements
from proxy.stores.postgres.read_fence import QueryLimits
from tests.ad_hoc import Database
from tests.integration.target_fixtures import create

LIST = "FOR d IN docs FILTER d.user == @u SORT d.created DESC LIMIT 20 RETURN d"


@pytest.fixture
async def docs(database: Database) -> Database:
    await create(database, "db/docs")
    await create(database, "db/other")
    await database.execute(
        "INSERT INTO db.docs (key, rev, raw, doc) SELECT 'k' || n, n, '{}', jsonb_build_object('user', 'u' || n % 500, "
        "'created', '2024-' || n, 'size', n) FROM generate_series(1, 20000) n"
    )
    await database.execute("ANALYZE db.docs")
    return database


async def test_a_compiled_query_is_explained(docs: Database) -> None:
    found = await examine(docs, "db", LIST, {"u": "u7"})

    assert found.shape == "FOR d IN docs FILTER d . user == ? SORT d . created DESC LIMIT ? RETURN d"
    assert (found.reads, found.writes, found.choices, found.compiled) == (("docs",), (), (), True)
    assert "u7" not in found.sql
    assert any("u7" in str(value) for value in found.parameters)
    assert {"FILTER", "SORT", "LIMIT"} <= set(found.pushed)
    assert any("Seq Scan on docs" in line for line in found.plan)


async def test_explain_treats_a_postgresql_without_icu_as_the_proxy_does(docs: Database) -> None:
    """One function decides that for the proxy, `explain` and `doctor`, whatever collations the server lists."""
    assert (await examine(docs, "db", LIST, {"u": "u7"})).compiled
    await docs.execute("CREATE OR REPLACE FUNCTION _crossfade.has_icu() RETURNS boolean LANGUAGE sql AS 'SELECT false'")
    found = await examine(docs, "db", LIST, {"u": "u7"})
    query = parse(LIST)
    plan = await Statements(docs, Catalog(docs), QueryLimits()).plan(
        "db", query, {"u": "u7"}, analyse(query, {"u": "u7"})
    )
    assert isinstance(plan, NotCompiled)
    assert (found.compiled, found.reason) == (False, f"{plan.reason} {plan.detail}".strip())
    checks = {check.name: check for check in await _postgresql(docs)}
    assert (checks["string order"].verdict, checks["sessions"].verdict) == ("warn", "ok")


async def test_explain_treats_a_query_that_reads_nothing_as_the_proxy_does(docs: Database) -> None:
    assert (await examine(docs, "db", "RETURN 1", {})).reason == "reads no collection"


async def test_the_suggested_index_is_used(docs: Database) -> None:
    (advice,) = (await examine(docs, "db", LIST, {"u": "u7"})).indexes
    assert "(doc -> 'user'), _crossfade.order_key(doc, 'created')" in advice.statement
    await docs.execute(advice.statement)
    await docs.execute("ANALYZE db.docs")

    found = await examine(docs, "db", LIST, {"u": "u7"}, measure=True)

    assert found.indexes == ()
    assert any("Index Scan Backward using list_" in line for line in found.plan), found.plan
    assert not any("Sort" in line for line in found.plan)
    assert any("actual time" in line for line in found.plan)


async def test_equality_alone_is_looked_up_in_the_index_on_documents(docs: Database) -> None:
    text = "FOR d IN docs FILTER d.user == @u RETURN d"
    (advice,) = (await examine(docs, "db", text, {"u": "u7"})).indexes
    assert "jsonb_path_ops" in advice.statement
    await docs.execute(advice.statement)
    await docs.execute("ANALYZE db.docs")

    found = await examine(docs, "db", text, {"u": "u7"})

    assert found.indexes == ()
    assert any("Bitmap Index Scan" in line for line in found.plan)


async def test_the_suggested_index_for_a_sort_avoids_sorting(docs: Database) -> None:
    text = "FOR d IN docs SORT d.created DESC LIMIT 10 RETURN d.size"
    (advice,) = (await examine(docs, "db", text, {})).indexes
    await docs.execute(advice.statement.replace("CONCURRENTLY", ""))
    await docs.execute("ANALYZE db.docs")

    found = await examine(docs, "db", text, {})

    assert found.indexes == ()
    assert any("Index Scan" in line for line in found.plan), found.plan
    assert found.kept == ("RETURN",)


async def test_the_suggested_index_for_a_filter_and_mixed_directions_avoids_sorting(docs: Database) -> None:
    text = "FOR d IN docs FILTER d.user == 'u7' SORT d.created DESC, d.size LIMIT 3 RETURN d"
    (advice,) = (await examine(docs, "db", text, {})).indexes
    assert "_crossfade.order_key(doc, 'created') DESC, _crossfade.order_key(doc, 'size'))" in advice.statement
    await docs.execute(advice.statement)
    await docs.execute("ANALYZE db.docs")

    found = await examine(docs, "db", text, {})

    assert not any("Sort" in line for line in found.plan), found.plan


async def test_an_index_of_an_interrupted_build_is_rebuilt(docs: Database) -> None:
    (advice,) = (await examine(docs, "db", LIST, {"u": "u7"})).indexes
    await docs.execute(advice.statement)
    await docs.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid::regclass::text LIKE 'db.list_%'")

    drop, recreate = (await examine(docs, "db", LIST, {"u": "u7"})).indexes

    assert (drop.statement.startswith("DROP INDEX CONCURRENTLY IF EXISTS db.list_"), recreate) == (True, advice)
    await docs.execute(drop.statement)
    await docs.execute(recreate.statement)
    assert (await examine(docs, "db", LIST, {"u": "u7"})).indexes == ()


async def test_an_evaluated_query_is_explained_with_the_reason(docs: Database) -> None:
    text = "FOR d IN docs FILTER d.user == 'u1' AND RAND() > 0.5 LIMIT 3 RETURN d"
    found = await examine(docs, "db", text, {})

    assert not found.compiled
    assert found.reason
    assert "LIMIT without SORT" in found.choices
    assert found.kept == ("FOR", "FILTER", "LIMIT")
    assert '{"user":"u1"}' in found.parameters
    assert "Limit" in found.plan[0]


async def test_a_modification_is_explained_and_never_run(docs: Database) -> None:
    changing = await examine(docs, "db", "FOR d IN docs UPDATE d WITH {a: 1} IN docs", {}, measure=True)
    text = "FOR d IN @d UPSERT {a: d.a} INSERT d UPDATE {n: OLD.n + 1} IN docs"
    upserting = await examine(docs, "db", text, {"d": [{"a": 1}, {"_key": "k", "a": 2}]}, measure=True)
    repeating = await examine(docs, "db", text, {"d": [{"a": 1}, {"a": 1.0}]})

    assert (changing.compiled, changing.pushed, changing.parameters[-1]) == (True, ("FOR", "UPDATE"), "db/docs")
    assert any("Update on docs" in line for line in changing.plan)
    assert not any("actual" in line for line in changing.plan)
    assert (upserting.compiled, upserting.pushed, upserting.parameters[-1]) == (True, ("UPSERT",), "db/docs")
    assert any("Insert on docs" in line for line in upserting.plan)
    assert not any("actual" in line for line in upserting.plan)
    assert (changing.batched, upserting.batched, repeating.batched) == (False, False, True)
    assert (repeating.compiled, repeating.kept, repeating.sql) == (False, ("FOR", "UPSERT"), "")
    assert repeating.reason == "rows that look for the same document"


async def test_unsupported_queries_have_no_statement(docs: Database) -> None:
    searching = await examine(docs, "db", "FOR d IN docs SEARCH d.a == 1 RETURN d", {})
    constant = await examine(docs, "db", "RETURN 1 + 1", {})

    assert searching.unsupported == ("SEARCH",)
    assert searching.plan == ()
    assert not constant.indexes


async def test_errors_have_the_number_of_the_querys_error(docs: Database) -> None:
    for text, number in (("FOR d IN", 1501), ("RETURN @x", 1551), ("FOR d IN nowhere RETURN d", 1203)):
        with pytest.raises(ArangoError) as refused:
            await examine(docs, "db", text, {})
        assert refused.value.number == number


def test_bind_variables_are_given_one_by_one_or_together() -> None:
    given = ['{"a": 1, "b": {"c=d": 2}}', "e=[3]", 'f="x=y"', "@g=orders", '@h="orders"', "a=4"]
    assert binds_of(given) == {
        "a": 4,
        "b": {"c=d": 2},
        "e": [3],
        "f": "x=y",
        "@g": "orders",
        "@h": "orders",
    }
    assert binds_of(()) == {}
    for text in ("{", "[1]", "a=b", "a="):
        with pytest.raises(PreconditionFailed, match="--bind"):
            binds_of([text])


@pytest.mark.parametrize(("mode", "mirrored"), [("complete", False), ("migration", True)])
async def test_explain_mentions_arangodb_only_if_there_is_one(
    docs: Database, dsn: str, monkeypatch: pytest.MonkeyPatch, mode: str, mirrored: bool
) -> None:
    monkeypatch.setenv("CROSSFADE_DSN", dsn)
    monkeypatch.setenv("CROSSFADE_MODE", mode)
    app, _ = proxy.cli.build()
    arguments = ["explain", "FOR d IN @given INSERT d INTO @@c", "--database", "db", "--bind", "@c=docs"]
    missing = await asyncio.to_thread(CliRunner().invoke, app, arguments)
    shown = await asyncio.to_thread(CliRunner().invoke, app, [*arguments, "--bind", 'given=[{"n": 1}]'])

    assert missing.exit_code == 1
    assert "the query is refused: " in missing.output
    assert "errorNum 1551" in missing.output
    assert "--bind NAME=JSON" in missing.output
    assert "ArangoDB" not in missing.output
    assert shown.exit_code == 0, shown.output
    assert ("ArangoDB" in shown.output) is mirrored


async def test_the_explain_command_prints_text_and_json(
    docs: Database, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CROSSFADE_DSN", dsn)
    app, _ = proxy.cli.build()

    async def run(*arguments: str) -> Any:
        return await asyncio.to_thread(CliRunner().invoke, app, ["explain", *arguments, "--database", "db"])

    shown = await run(LIST, "--bind", '{"u": "u7"}')
    created = await run(LIST, "--bind", '{"u": "u7"}', "--create")
    machine = await run(LIST, "--bind", '{"u": "u7"}', "--json")
    evaluated = await run("FOR d IN docs INSERT d INTO other LET x = (FOR y IN docs RETURN y) RETURN x")
    inserted = await run("FOR d IN [{a: 1}] INSERT d INTO other OPTIONS {versionAttribute: 'a'}")
    broken = await run("RETURN", "--json")

    assert shown.exit_code == 0, shown.output
    assert "to one statement" in shown.output
    assert "CREATE INDEX CONCURRENTLY" in shown.output
    assert "none is missing" in created.output, created.output
    assert json.loads(machine.stdout)["compiled"] is True
    assert "no: documents that are read before" in evaluated.output
    assert "read together" not in evaluated.output
    assert "read together" in inserted.output
    assert "arrays inside rows" in evaluated.output
    assert broken.exit_code == 1
