"""One rule for refused rows: a backfill, a repair and an archive treat them as the mirror does (I4, I7)."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from backfill.archive.manifest import CollectionEntry
from backfill.archive.postgres_target import IntoPostgres
from backfill.archive.targets import TargetResult
from backfill.key_repair import repair_keys
from backfill.origin_pages import Document
from backfill.run_planner import plan_backfill
from backfill.source import ArangoSource
from proxy.replication.key_repair import KeyRepairer
from proxy.replication.target_writer import TargetWriter
from tests.ad_hoc import Database
from tests.integration.backfill_fixtures import NAME, register, stored, work
from tests.integration.stub_origin import StubOrigin
from tests.integration.verify_fixtures import backfilled

_SELECT_DEAD_LETTERS = "SELECT key FROM _crossfade.dead_letter ORDER BY key"
_SKIP_TRIGGER = """
CREATE FUNCTION public.pass_over() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.key = '0002' THEN RETURN NULL; END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER pass_over BEFORE INSERT OR UPDATE ON {relation} FOR EACH ROW EXECUTE FUNCTION public.pass_over();
"""


async def _dead_letter_keys(database: Database) -> list[str]:
    return [row["key"] for row in await database.fetch(_SELECT_DEAD_LETTERS)]


async def test_a_refused_version_that_is_superseded_ends_no_flip(
    database: Database, origin: StubOrigin, source: ArangoSource
) -> None:
    """PostgreSQL lacks nothing: it has a newer version of the document."""
    relation = await register(database, stage="flipped")
    origin.put(NAME, "0000", '"n":13')
    newer = origin.collections[NAME].revs["0000"] + 1
    await database.execute(f"INSERT INTO {relation} (key, rev, raw, doc) VALUES ('0000', {newer}, '{{}}', '{{}}')")
    await database.execute(f"ALTER TABLE {relation} ADD CHECK (doc ->> 'n' <> '13')")
    await work(database, source, [await plan_backfill(database, source, NAME)])
    assert await _dead_letter_keys(database) == []
    stage = "SELECT stage::text FROM _crossfade.collection WHERE collection = $1"
    assert await database.fetchval(stage, NAME) == "flipped"


async def test_a_page_that_has_the_document_does_not_end_the_dead_letter_of_its_removal(
    database: Database, origin: StubOrigin, source: ArangoSource
) -> None:
    """PostgreSQL refused the tombstone, and the page was read before the removal: the document is a ghost."""
    await backfilled(database, origin, source, 3)
    await database.execute(
        "INSERT INTO _crossfade.dead_letter (collection, key, rev, removed, reason) VALUES ($1, '0001', $2, true, 'x')",
        NAME,
        origin.collections[NAME].revs["0001"],
    )
    await work(database, source, [await plan_backfill(database, source, NAME)])
    assert await _dead_letter_keys(database) == ["0001"]


async def test_a_backfill_drops_crossfades_index_for_a_document_too_large_for_it(
    database: Database, origin: StubOrigin, source: ArangoSource
) -> None:
    relation = await register(database)
    await database.execute(f"CREATE INDEX list_0123456789abcdef01234567 ON {relation} ((doc -> 'text'))")
    origin.put(NAME, "0000", '"n":1')
    origin.put(NAME, "0001", f'"text":"{random.Random(1).randbytes(20_000).hex()}"')
    await work(database, source, [await plan_backfill(database, source, NAME)])
    assert await stored(database, relation) == origin.collections[NAME].raw
    assert await _dead_letter_keys(database) == []
    assert await database.fetchval("SELECT count(*) FROM pg_class WHERE relname LIKE 'list\\_%'") == 0


async def test_a_row_that_a_trigger_skips_becomes_a_dead_letter_in_backfill_repair_and_archive(
    database: Database, origin: StubOrigin, source: ArangoSource
) -> None:
    """No error is raised, so nothing but its absence shows that PostgreSQL lacks it."""
    relation = await register(database)
    await database.execute(_SKIP_TRIGGER.format(relation=relation))
    await backfilled(database, origin, source, 5)
    assert sorted(await stored(database, relation)) == ["0000", "0001", "0003", "0004"]
    assert await _dead_letter_keys(database) == ["0002"]
    assert (await repair_keys(database, source, NAME, ["0001", "0002"])).dead == {"0002"}
    target = IntoPostgres(database, database)
    await target.prepare(CollectionEntry(collection=NAME, edge=False, started_at=""))
    written = await target.write(NAME, [Document("0002", 7, b"{}"), Document("0009", 7, b"{}")], ())
    reason = "PostgreSQL passes it over: a trigger or a rule of the table"
    assert written == TargetResult(1, 0, (("0002", reason),))


class _Reader:
    """Documents in memory. during: run while they are read, once."""

    def __init__(self, database: Database, documents: dict[str, bytes], during: str = "") -> None:
        self._database = database
        self._documents = documents
        self._during = during

    async def read(self, database: str, collection: str, keys: Sequence[str]) -> Mapping[str, bytes | None]:
        if self._during:
            await self._database.execute(self._during)
            self._during = ""
        return {key: self._documents.get(key) for key in keys}


async def test_a_repair_accepts_an_equal_revision_only_if_its_content_was_compared(database: Database) -> None:
    """A purge or a truncation between the read and the write refuses the stamp: no content was compared."""
    relation = await register(database)
    right, wrong = b'{"_key":"a","_rev":"_kNo8DHm---","n":1}', b'{"_key":"a","_rev":"_kNo8DHm---","n":2}'
    repairer = KeyRepairer(TargetWriter(database), _Reader(database, {"a": wrong}))
    assert (await repairer.until_done(NAME, ["a"])).written == {"a"}
    raised = "UPDATE _crossfade.stamp_floor SET floor = _crossfade.raise_era()"
    repairer = KeyRepairer(TargetWriter(database), _Reader(database, {"a": right}, during=raised))
    assert (await repairer.keys(NAME, ["a"])).left == {"a"}
    assert (await repairer.keys(NAME, ["a"])).written == {"a"}
    assert await stored(database, relation) == {"a": right}
    assert (await repairer.keys(NAME, ["a"])).unchanged == {"a"}


async def test_a_repair_by_a_new_process_ends_a_dead_letter_on_which_both_sides_agree(
    database: Database,
) -> None:
    """A new process does not know yet which collections have dead letters, and must not assume that there are none."""
    await register(database)
    await database.execute(
        "INSERT INTO _crossfade.dead_letter (collection, key, rev, reason) VALUES ($1, 'gone', 1, 'x')", NAME
    )
    await KeyRepairer(TargetWriter(database), _Reader(database, {})).until_done(NAME, ["gone"])
    assert await _dead_letter_keys(database) == []
