"""Writes that PostgreSQL itself decides: fence, locks, revisions, and what happens when writes meet."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any, Final

import asyncpg
import orjson
import pytest

from proxy.base.errors import CommitOutcomeUnknown, Unsupported
from proxy.devserver.store import MemoryStore
from proxy.model.operations import Operation, Outcome
from proxy.model.revision import decode_rev
from proxy.semantics.document_writes import parse_insert
from proxy.semantics.writable import WritableCollection
from proxy.stores.postgres.catalog import Relation
from proxy.stores.postgres.writes import DocumentWriter
from proxy.stores.postgres.writes.interruptions import ExclusiveLockError, WriteFenceError
from proxy.stores.postgres.writes.properties import parse_properties
from proxy.stores.postgres.writes.transaction import WriteTransaction
from proxy.wire.decode import decode_parts
from tests.ad_hoc import Database
from tests.harness import eventually, straight
from tests.integration.target_fixtures import take_writes

C: Final = "_system/c"


@dataclass
class Target:
    """A collection whose writes PostgreSQL takes. other: a separate connection."""

    database: Database
    writer: DocumentWriter
    relation: str
    other: asyncpg.Connection[asyncpg.Record]

    async def send(self, method: str, target: str, body: Any = None) -> tuple[int, Any]:
        outcome = await self.writer.execute(request(method, target, body))
        return outcome.status, orjson.loads(outcome.body)

    async def document(self, key: str) -> dict[str, Any]:
        row = await self.database.fetchrow(f"SELECT raw::text AS raw FROM {self.relation} WHERE key = $1", key)
        assert row is not None
        found: dict[str, Any] = orjson.loads(row["raw"])
        return found

    async def waiting(self) -> None:
        """Return when a statement of another session waits for a lock."""

        async def waits() -> bool:
            text = (
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            return bool(await self.database.fetchval(text))

        await eventually(waits, "a statement that waits for a lock")


def request(method: str, target: str, body: Any = None) -> Operation:
    return decode_parts(method, target.encode(), [], b"" if body is None else orjson.dumps(body))


@pytest.fixture
async def target(database: Database, dsn: str) -> AsyncIterator[Target]:
    relation = await take_writes(database, C, {})
    async with straight(dsn) as other:
        yield Target(database, DocumentWriter(database, lock_wait=30.0, group_wait=30.0), relation, other)


async def test_no_write_unless_postgresql_takes_them(target: Target) -> None:
    await target.send("POST", "/_api/document/c", {"_key": "a"})
    await target.other.execute("UPDATE _crossfade.stamp_floor SET writer = 'none'")
    with pytest.raises(WriteFenceError):
        await target.send("POST", "/_api/document/c", {"_key": "b"})
    with pytest.raises(WriteFenceError):
        await target.send("PATCH", "/_api/document/c/a", {"n": 1})
    await target.other.execute("UPDATE _crossfade.stamp_floor SET writer = 'target'")
    await target.other.execute("UPDATE _crossfade.control SET closing = true")
    with pytest.raises(WriteFenceError):
        await target.send("DELETE", "/_api/document/c/a")
    assert await target.database.fetchval(f"SELECT count(*) FROM {target.relation} WHERE doc IS NOT NULL") == 1


async def test_no_write_of_a_collection_that_postgresql_never_took(database: Database) -> None:
    await database.execute("SELECT _crossfade.ensure_collection('_system', 'c', false)")
    with pytest.raises(WriteFenceError):
        await DocumentWriter(database).execute(request("POST", "/_api/document/c", {}))


async def test_the_writer_does_not_change_while_a_write_is_under_way(target: Target) -> None:
    await target.send("POST", "/_api/document/c", {"_key": "a"})
    async with target.other.transaction():
        await target.other.execute(f"SELECT FROM {target.relation} FOR UPDATE")
        write = asyncio.create_task(target.send("PATCH", "/_api/document/c/a", {"n": 1}))
        await target.waiting()
        await target.other.execute("SET lock_timeout = 50; SAVEPOINT before")
        with pytest.raises(asyncpg.LockNotAvailableError):
            await target.other.execute("UPDATE _crossfade.stamp_floor SET writer = 'none'")
        await target.other.execute("ROLLBACK TO before; SET lock_timeout = 0")
    assert (await write)[0] == 202
    await target.other.execute("UPDATE _crossfade.stamp_floor SET writer = 'none'")


async def test_a_write_that_waited_has_what_came_before_and_a_later_revision(target: Target) -> None:
    await target.send("POST", "/_api/document/c", {"_key": "a"})
    first = await target.document("a")
    async with target.other.transaction():
        await target.other.execute(f"SELECT FROM {target.relation} FOR UPDATE")
        write = asyncio.create_task(target.send("PATCH", "/_api/document/c/a", {"second": 2}))
        await target.waiting()
        sequence = await target.other.fetchval("SELECT revisions FROM _crossfade.stamp_floor")
        between = await target.other.fetchval("SELECT nextval($1::text::regclass)", sequence)
        raw = orjson.dumps({**first, "first": 1}).decode()
        await target.other.execute(f"UPDATE {target.relation} SET raw = $1::json, rev = $2", raw, between)
    _, answer = await write
    assert decode_rev(answer["_rev"]) > between
    found = await target.document("a")
    assert (found["first"], found["second"]) == (1, 2)


async def test_an_insert_that_waited_for_another_of_its_key_is_refused(target: Target) -> None:
    async with target.other.transaction():
        await target.other.execute(
            f"INSERT INTO {target.relation} (key, rev, raw, doc) VALUES ('a', 7, $1::json, '{{}}')",
            '{"_key":"a","_id":"c/a","_rev":"7"}',
        )
        write = asyncio.create_task(target.send("POST", "/_api/document/c", [{"_key": "a"}, {"_key": "b"}]))
        await target.waiting()
    status, answer = await write
    assert (status, answer[0]["errorNum"], answer[1]["_key"]) == (202, 1210, "b")
    assert (await target.document("a"))["_rev"] == "7"


async def test_a_row_that_stays_locked_is_a_conflict(target: Target) -> None:
    """The answers are those of the development server while a stream transaction has the key."""
    _, made = await target.send("POST", "/_api/document/c", {"_key": "a"})
    target.writer = DocumentWriter(target.database, lock_wait=0.05)
    memory = MemoryStore()
    for method, path, body in (
        ("POST", "/_api/collection", {"name": "c"}),
        ("POST", "/_api/document/c", {"_key": "a"}),
        ("POST", "/_api/transaction/begin", {"collections": {"write": "c"}}),
    ):
        begun = orjson.loads(memory.run(request(method, path, body)).body)
    header = (b"x-arango-trx-id", begun["result"]["id"].encode())
    memory.run(decode_parts("PATCH", b"/_api/document/c/a", [header], b'{"n":1}'))
    async with target.other.transaction():
        await target.other.execute(f"SELECT FROM {target.relation} FOR UPDATE")
        refused: list[tuple[str, str, Any]] = [
            ("DELETE", "/_api/document/c/a", None),
            ("POST", "/_api/document/c?overwriteMode=replace", {"_key": "a"}),
        ]
        for method, path, document in refused:
            status, answer = await target.send(method, path, document)
            expected = memory.run(request(method, path, document))
            wanted = orjson.loads(expected.body)
            if "_rev" in wanted:
                wanted["_rev"] = made["_rev"]
            assert (status, answer) == (expected.status, wanted)
    assert (await target.document("a"))["_key"] == "a"


async def test_a_change_of_properties_is_seen_by_the_next_write(target: Target) -> None:
    assert (await target.send("POST", "/_api/document/c", {"n": "text"}))[0] == 202
    changed = {"waitForSync": True, "schema": {"rule": {"properties": {"n": {"type": "number"}}}, "message": "no"}}
    await target.other.execute(
        "UPDATE _crossfade.stamp_floor SET properties = $1::json", orjson.dumps(changed).decode()
    )
    status, answer = await target.send("POST", "/_api/document/c", {"n": "text"})
    assert (status, answer["errorNum"]) == (400, 1620)
    assert (await target.send("POST", "/_api/document/c", {"n": 1}))[0] == 201


async def test_a_collection_that_got_another_table_is_written_there(target: Target) -> None:
    await target.send("POST", "/_api/document/c", {"_key": "a"})
    made = await target.other.fetchval("SELECT _crossfade.make_table('_system', 'c', true)")
    assert made != target.relation
    await target.other.execute("UPDATE _crossfade.collection SET relation = $1, edge = true", made)
    status, _ = await target.send("POST", "/_api/document/c", {"_key": "b", "_from": "v/1", "_to": "v/2"})
    assert status == 202
    row = await target.database.fetchrow(f"SELECT key, from_id FROM {made}")
    assert row is not None
    assert tuple(row) == ("b", "v/1")


@dataclass
class Forgetful:
    """A write that does not name its keys: the decision meets them."""

    prepared: Any
    keys: frozenset[str] = frozenset()
    writes: int = 3
    decisions: int = 0

    def carry_out(self, collection: WritableCollection) -> Outcome:
        self.decisions += 1
        outcome: Outcome = self.prepared.carry_out(collection)
        return outcome


async def test_a_decision_is_repeated_with_the_keys_that_it_lacked(target: Target) -> None:
    await target.send("POST", "/_api/document/c", {"_key": "a"})
    operation = request("POST", "/_api/document/c", [{"_key": "b"}, {"_key": "a"}, {"_key": "b"}])
    properties = parse_properties("{}")
    prepared: Any = Forgetful(parse_insert(operation).prepare(properties.generator(0), edge=False))
    async with target.database.session() as session:
        transaction = WriteTransaction(session, Relation(C, target.relation, edge=False), properties, 1.0)
        outcome = await transaction.execute(operation, prepared, empties=False)
    assert [item.get("errorNum") for item in orjson.loads(outcome.body)] == [None, 1210, 1210]
    assert prepared.decisions == 3
    assert (await target.document("b"))["_key"] == "b"


async def test_a_commit_without_an_answer_has_an_unknown_outcome(target: Target) -> None:
    await target.other.execute(
        "CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END'"
    )
    await target.other.execute(
        f"CREATE CONSTRAINT TRIGGER cut AFTER INSERT ON {target.relation} DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION cut()"
    )
    with pytest.raises(CommitOutcomeUnknown):
        await target.send("POST", "/_api/document/c", {"_key": "a"})


async def test_a_document_that_postgresql_cannot_hold_is_refused(target: Target) -> None:
    await target.other.execute(f"CREATE INDEX ON {target.relation} ((doc ->> 'text'))")
    text = "".join(map(str, range(50_000)))
    status, answer = await target.send("POST", "/_api/document/c", {"_key": "a", "text": text})
    assert (status, answer["errorNum"]) == (400, 10)
    assert "PostgreSQL cannot hold the document" in answer["errorMessage"]


async def test_a_removed_document_leaves_a_tombstone_that_keeps_its_revision(target: Target) -> None:
    _, made = await target.send("POST", "/_api/document/c", {"_key": "a"})
    await target.send("DELETE", "/_api/document/c/a")
    row = await target.database.fetchrow(f"SELECT rev, raw, doc FROM {target.relation}")
    assert row is not None
    assert tuple(row) == (decode_rev(made["_rev"]), None, None)
    _, again = await target.send("POST", "/_api/document/c", {"_key": "a"})
    assert decode_rev(again["_rev"]) > decode_rev(made["_rev"])
    keys = await target.database.fetch("SELECT key FROM _crossfade.outbox ORDER BY id")
    assert [row["key"] for row in keys] == ["a", "a", "a"]


async def test_revisions_do_not_go_back_if_postgresql_takes_the_writes_again(target: Target) -> None:
    await take_writes(target.database, C, {}, revision=1 << 62)  # the clock of ArangoDB was ahead
    _, made = await target.send("POST", "/_api/document/c", {"_key": "a"})
    await take_writes(target.database, C, {})
    _, changed = await target.send("PATCH", "/_api/document/c/a", {"n": 1})
    assert decode_rev(changed["_rev"]) > decode_rev(made["_rev"])


async def test_what_is_not_a_plain_write_is_refused_by_name(target: Target) -> None:
    with pytest.raises(Unsupported):
        await target.send("POST", "/_api/cursor", {"query": "RETURN 1"})
    for header in ((b"x-arango-trx-id", b"1"), (b"x-arango-async", b"store")):
        with pytest.raises(Unsupported):
            await target.writer.execute(decode_parts("POST", b"/_api/document/c", [header], b"{}"))
    primary = {"type": "primary", "fields": ["_key"], "unique": True}
    await take_writes(target.database, "_system/plain", {"indexes": [primary]})
    assert (await target.send("POST", "/_api/document/plain", {}))[0] == 202


@pytest.mark.parametrize("kind", ["traditional", "autoincrement", "padded"])
async def test_two_writers_never_generate_one_key_twice(dsn: str, database: Database, kind: str) -> None:
    await take_writes(database, C, {"keyOptions": {"type": kind}})
    second = await Database.open(dsn, size=4)
    writers = [DocumentWriter(database), DocumentWriter(second)]
    sent = [request("POST", "/_api/document/c", [{}, {"_key": str(100 * n)}, {}]) for n in range(12)]
    outcomes = await asyncio.gather(*(writers[n % 2].execute(operation) for n, operation in enumerate(sent)))
    await second.close()
    keys = [item["_key"] for outcome in outcomes for item in orjson.loads(outcome.body) if "_key" in item]
    assert len(keys) == len(set(keys)) > 24


class Race:
    """Clients that write the same keys through two writers, and what each was told."""

    def __init__(self, writers: list[DocumentWriter]) -> None:
        self._writers = itertools.cycle(writers)
        self.attributes: dict[str, set[str]] = {key: set() for key in ("a", "b", "c")}
        self.inserted: set[str] = set()
        self._numbers: Iterator[int] = itertools.count()

    async def client(self, writes: int) -> None:
        writer = next(self._writers)
        for _ in range(writes):
            number = next(self._numbers)
            name, keys = f"w{number}", ("a", "b", "c")
            if number % 3 == 0:
                body = [{"_key": key, name: 1} for key in (keys if number % 2 else reversed(keys))]
                outcome = await writer.execute(request("PATCH", "/_api/document/c", body))
                written = [item["_key"] for item in orjson.loads(outcome.body) if "_key" in item]
            elif number % 3 == 1:
                key = keys[number % 2]
                outcome = await writer.execute(request("PATCH", f"/_api/document/c/{key}", {name: 1}))
                written = [key] if outcome.status == 202 else []
            else:
                written = []
                insert = request("POST", "/_api/document/c", {"_key": f"i{number % 7}", "by": name})
                remove = request("DELETE", f"/_api/document/c/i{(number + 2) % 7}")
                for operation in (insert, remove):
                    assert (await writer.execute(operation)).status in (200, 202, 404, 409)
                fresh = await writer.execute(request("POST", "/_api/document/c", {"_key": name}))
                if fresh.status == 202:
                    self.inserted.add(name)
            for key in written:
                self.attributes[key].add(name)


async def test_writes_of_two_writers_that_meet_are_all_there_and_in_order(dsn: str, target: Target) -> None:
    await target.send("POST", "/_api/document/c", [{"_key": key} for key in ("a", "b", "c")])
    await target.other.execute("CREATE TABLE history (id bigserial, key text, rev bigint, removed boolean)")
    await target.other.execute(
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN INSERT INTO public.history (key, rev, removed) VALUES (NEW.key, NEW.rev, NEW.doc IS NULL); "
        "RETURN NULL; END'"
    )
    await target.other.execute(
        f"CREATE TRIGGER note AFTER INSERT OR UPDATE ON {target.relation} FOR EACH ROW EXECUTE FUNCTION note()"
    )
    second = await Database.open(dsn, size=6)
    race = Race([target.writer, DocumentWriter(second, lock_wait=30.0)])
    await asyncio.gather(*(race.client(12) for _ in range(10)))
    await second.close()

    for key, names in race.attributes.items():
        assert names <= set(await target.document(key))
    assert sum(map(len, race.attributes.values())) > 50
    keys = {row["key"] for row in await target.database.fetch(f"SELECT key FROM {target.relation}")}
    assert race.inserted
    assert race.inserted <= keys
    newest: dict[str, int] = {}
    for row in await target.database.fetch("SELECT key, rev, removed FROM history ORDER BY id"):
        before = newest.get(row["key"], 0)
        assert row["rev"] == before if row["removed"] else row["rev"] > before
        newest[row["key"]] = row["rev"]


async def test_writes_that_share_a_transaction_are_answered_each_by_itself(target: Target) -> None:
    await target.send("POST", "/_api/document/c", {"_key": "b", "n": 1})
    writes = [target.send("POST", "/_api/document/c", {"_key": f"k{number}"}) for number in range(20)]
    answers = await asyncio.gather(*writes)
    assert [status for status, _ in answers] == [202] * 20
    first = answers[3][1]["_rev"]
    writes = [
        target.send("POST", "/_api/document/c", {"_key": "b"}),
        target.send("PATCH", "/_api/document/c/absent", {"n": 1}),
        target.send("PATCH", "/_api/document/c/b?ignoreRevs=false", {"n": 2, "_rev": "_absent----"}),
        *(target.send("PATCH", "/_api/document/c/k3", {f"a{number}": number}) for number in range(20)),
        target.send("DELETE", "/_api/document/c/k4?returnOld=true"),
    ]
    answers = await asyncio.gather(*writes)
    assert [answer["errorNum"] for _, answer in answers[:3]] == [1210, 1202, 1200]
    assert [status for status, _ in answers[3:]] == [202] * 21
    changed = await target.document("k3")
    assert {name: value for name, value in changed.items() if name[0] == "a"} == {f"a{n}": n for n in range(20)}
    former = {answer["_oldRev"] for _, answer in answers[3:23]}
    assert former == {first, *(answer["_rev"] for _, answer in answers[3:23])} - {changed["_rev"]}
    transactions = await target.database.fetchval(f"SELECT count(DISTINCT xmin::text) FROM {target.relation}")
    assert transactions < 10


async def test_a_write_that_prevents_a_common_transaction_does_not_harm_others(target: Target) -> None:
    await target.send("POST", "/_api/document/c", {"_key": "b"})
    target.writer = DocumentWriter(target.database, lock_wait=0.2)
    await target.send("PATCH", "/_api/document/c/b", {})
    async with target.other.transaction():
        await target.other.execute(f"SELECT FROM {target.relation} WHERE key = 'b' FOR UPDATE")
        writes = [target.send("POST", "/_api/document/c", {"_key": f"k{number}"}) for number in range(10)]
        writes += [target.send("PATCH", "/_api/document/c/b", {"n": 1})]
        answers = await asyncio.gather(*writes)
    assert [status for status, _ in answers] == [202] * 10 + [409]


async def test_an_array_does_not_wait_for_a_table_that_is_locked(target: Target) -> None:
    await target.send("POST", "/_api/document/c", {"_key": "b"})
    target.writer = DocumentWriter(target.database, lock_wait=0.05)
    async with target.other.transaction():
        await target.other.execute(f"LOCK TABLE {target.relation} IN EXCLUSIVE MODE")
        async with asyncio.timeout(20):  # a statement may take 30 s
            with pytest.raises(ExclusiveLockError):
                await target.send("PUT", "/_api/document/c", [{"_key": "b"}])
