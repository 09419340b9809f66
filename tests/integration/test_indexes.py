"""`crossfade indexes`: indexes that the seen query shapes need are shown and created, and never cost a document."""

from __future__ import annotations

import json
import random
import string
from pathlib import Path
from typing import Any

import pytest

from proxy.base.errors import PreconditionFailed
from proxy.cli.indexes import needed, with_sample_values
from proxy.model.revision import Clock
from proxy.operator.index_building import make
from proxy.replication.target_writer import TargetWriter
from proxy.replication.versions import StampedVersion
from proxy.routing.query_shapes import shape_of_text
from tests.ad_hoc import Database
from tests.integration.cli_fixtures import Shell, origin, quiet_instances, shell
from tests.integration.target_fixtures import create

__all__ = ["origin", "quiet_instances", "shell"]  # fixtures

DOCS = "shop/orders"
LIST = "FOR d IN orders FILTER d.user == 'u7' SORT d.created DESC LIMIT 20 RETURN d"
EQUAL = "FOR d IN orders FILTER d.size == @size RETURN d"
# a value that does not become smaller by compression
LONG = "".join(random.Random(3).choices(string.ascii_letters + string.digits, k=9000))


@pytest.fixture
async def docs(database: Database) -> Database:
    await create(database, DOCS)
    await database.execute(
        "INSERT INTO shop.orders (key, rev, raw, doc) SELECT 'k' || n, n, '{}', "
        "jsonb_build_object('user', 'u' || n % 500, 'created', '2024-' || n, 'size', n) "
        "FROM generate_series(1, 20000) n"
    )
    await database.execute("ANALYZE shop.orders")
    await database.execute("UPDATE _crossfade.collection SET stage = 'shadow'")
    for text, seen in ((LIST, 30), (EQUAL, 7), ("FOR d IN orders RETURN d._key", 2)):
        shape = shape_of_text(text)
        await database.execute(
            "INSERT INTO _crossfade.shape (collection, shape, text, seen) VALUES ($1, $2, $3, $4)",
            DOCS,
            shape.name,
            shape.text,
            seen,
        )
    return database


async def indexes_of(database: Database) -> dict[str, bool]:
    rows = await database.fetch(
        "SELECT c.relname, i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
        "WHERE i.indrelid = 'shop.orders'::regclass AND NOT i.indisprimary"
    )
    return {row["relname"]: row["indisvalid"] for row in rows}


async def test_indexes_needed_by_query_shapes_are_shown_and_created(shell: Shell, docs: Database) -> None:
    shown = await shell("indexes", "orders", "--json")
    assert shown.code == 0, shown.err
    by_reason = {one["statement"].partition(" ON ")[2][:40]: one for one in shown.json["indexes"]}
    assert len(by_reason) == 2, by_reason
    assert shown.json["shapes"] == 3
    assert shown.json["unread"] == {}
    assert {seen for one in shown.json["indexes"] for seen in one["shapes"].values()} == {30, 7}
    assert (await shell("indexes", "--create", "--dry-run")).code == 0
    assert await indexes_of(docs) == {}
    people = await shell("indexes", "orders")
    assert "seen 30 times: FOR d IN orders FILTER d . user == ? SORT d . created DESC LIMIT ? RETURN d" in people.out
    assert "`crossfade indexes shop/orders --create` creates them" in people.out

    created = await shell("indexes", "--create", "--reason", "the walk")
    assert created.code == 0, created.err
    assert list((await indexes_of(docs)).values()) == [True, True]
    assert "`crossfade queries reset shop/orders` resets the counts" in created.out
    assert (await shell("audit", "--json")).json[0]["action"] == "make indexes"
    assert "no index is missing for 3 query shapes" in (await shell("indexes")).out


async def test_a_recorded_read_gives_more_detail_than_a_shape(docs: Database) -> None:
    """The values of a recorded read decide what compiles; without one, values are made up."""
    (query, binds), *_ = with_sample_values("FOR d IN orders FILTER d . size == ? LIMIT ? RETURN d")
    assert query == "FOR d IN orders FILTER d . size == @literal0 LIMIT @literal1 RETURN d"
    assert binds == {"literal0": 1, "literal1": 1}
    shape = shape_of_text("FOR d IN orders FILTER d.user IN @users SORT d.size LIMIT 3 RETURN d")
    await docs.execute("INSERT INTO _crossfade.shape (collection, shape, text, seen) VALUES ($1, $2, $3, 1)",
                       DOCS, shape.name, shape.text)  # fmt: skip
    request = {
        "query": "FOR d IN orders FILTER d.user IN @users SORT d.size LIMIT 3 RETURN d",
        "bindVars": {"users": []},
    }
    await docs.execute(
        "INSERT INTO _crossfade.example (shape, digest, collections, request) VALUES ($1, 'x', $2, $3)",
        shape.name,
        [DOCS],
        json.dumps(request),
    )
    found = await needed(docs, [DOCS])
    assert found.unread == {}
    assert found.looked == 4


async def test_an_invalid_index_of_an_interrupted_build_is_rebuilt(shell: Shell, docs: Database) -> None:
    await shell("indexes", "--create")
    names = await indexes_of(docs)
    await docs.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid::regclass::text ~ 'list_|doc'")
    assert "missing" in (await shell("indexes")).out
    assert (await shell("indexes", "--create")).code == 0
    assert await indexes_of(docs) == dict.fromkeys(names, True)


async def test_a_value_that_is_too_large_leaves_no_invalid_index(shell: Shell, docs: Database) -> None:
    """An invalid index refuses documents as a valid one does."""
    await docs.execute(
        "UPDATE shop.orders SET doc = doc || jsonb_build_object('created', $1::text) WHERE key = 'k1'", LONG
    )
    result = await shell("indexes", "--create")
    assert result.code == 1
    assert "a value is too large for an index" in result.out
    assert not any(name.startswith("list_") for name in await indexes_of(docs))
    assert any(name.startswith("doc") for name in await indexes_of(docs)), "the other one is created"
    statement = "CREATE INDEX CONCURRENTLY list_x ON shop.orders ((doc -> 'created'))"
    with pytest.raises(PreconditionFailed, match="too large"):
        await make(docs, "shop.orders", statement)
    assert "list_x" not in await indexes_of(docs)


async def test_an_index_is_dropped_for_a_document_that_is_too_large_for_it(
    shell: Shell, docs: Database, tmp_path: Path
) -> None:
    """PostgreSQL keeps every document: the index is dropped, and there is no dead letter."""
    await shell("indexes", "--create")
    assert any(name.startswith("list_") for name in await indexes_of(docs))
    clock = Clock()

    def row(key: str, **document: Any) -> StampedVersion:
        return StampedVersion(key, clock.tick(), json.dumps({"_key": key, **document}).encode(), 1)

    target = TargetWriter(docs, "one")
    written = await target.write(DOCS, [row("a", user="u"), row("b", user="u", created=LONG), row("c", user="u")])
    assert (written.dead, written.reread) == (frozenset(), frozenset())
    assert await docs.fetchval("SELECT count(*) FROM shop.orders WHERE key IN ('a', 'b', 'c')") == 3
    assert await docs.fetchval("SELECT count(*) FROM _crossfade.dead_letter") == 0
    assert not any(name.startswith("list_") for name in await indexes_of(docs))


async def test_foreign_indexes_are_kept(docs: Database) -> None:
    await docs.execute("CREATE INDEX reporting ON shop.orders ((doc -> 'user'))")
    written = await TargetWriter(docs, "one").write(
        DOCS, [StampedVersion("b", Clock().tick(), json.dumps({"_key": "b", "user": LONG}).encode(), 1)]
    )
    assert written.dead == {"b"}
    assert await indexes_of(docs) == {"reporting": True}
