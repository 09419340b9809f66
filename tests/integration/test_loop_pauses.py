"""Writes of many documents, and large documents: no stretch of work on the event loop handles more than a bounded part.

Counted, not timed: a separate task counts the turns of the loop, and wrapped functions record how many documents they
handle in each turn. Other requests must see the write as open, with all its keys, until the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from proxy.base.errors import ArangoError, JournalError
from proxy.capture import answers as capture
from proxy.capture.answers import DocumentPlan, parse_answer_in_turns, plan
from proxy.capture.attempt import Attempt, AttemptContext, Undo
from proxy.capture.outcomes import NOTHING_WRITTEN
from proxy.isolation import Isolation, Lane
from proxy.journal.intent import Ending
from proxy.journal.journal import Journal
from proxy.model.message import Request
from proxy.model.revision import Clock, encode_rev
from proxy.replication import document_encoding, key_repair
from proxy.replication.applier import Queue
from proxy.replication.document_encoding import EncodedVersion, statement_parts
from proxy.replication.target_writer import TargetWriter
from proxy.replication.versions import StampedVersion
from proxy.replication.write_reports import WriteReporter
from proxy.wire.decode import decode
from tests.ad_hoc import Database
from tests.integration.mirror_fixtures import COLLECTION, Origin, drained, running, stored

MANY = 4_000
MAX_PER_TURN = 500  # documents in one turn


class Turns:
    """Counts turns of the loop; `spy` wraps a function so that `handled` shows how much it was given in each."""

    def __init__(self) -> None:
        self.number = 0
        self.handled: dict[str, Counter[int]] = {}

    @contextlib.asynccontextmanager
    async def counted(self) -> AsyncIterator[None]:
        async def count() -> None:
            while True:
                self.number += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(count())
        try:
            yield
        finally:
            task.cancel()

    def spy(self, patch: pytest.MonkeyPatch, owner: object, name: str, size: Callable[..., int]) -> None:
        """Count what `owner.name` is called with."""
        handled, inner = self.handled.setdefault(name, Counter()), getattr(owner, name)

        def spied(*arguments: Any, **named: Any) -> Any:
            handled[self.number] += size(*arguments)
            return inner(*arguments, **named)

        patch.setattr(owner, name, spied)

    def most(self, name: str) -> int:
        return max(self.handled[name].values())

    def all(self, name: str) -> int:
        return sum(self.handled[name].values())


def insert_answer(number: int, text: str = "x") -> tuple[bytes, list[bytes]]:
    """Return an answer to an insert of that many documents, with `new`, as ArangoDB prints it; and the documents."""
    clock, answers, documents = Clock(), [], []
    for index in range(number):
        head = f'"_key":"k{index}","_id":"products/k{index}","_rev":"{encode_rev(clock.tick())}"'
        inner = "},{" if index % 7 else r"\"}},{\"_id\":\"products/a\"},{"  # text that resembles the end of an element
        document = f'{{{head},"text":"{text}{inner}","list":[{{"a":1}},{{"_id":"{index}"}},{{"error":true}}]}}'
        identity = f'"_id":"products/k{index}","_key":"k{index}"'
        answers.append(f'{{{identity},"_rev":{head.rpartition(":")[2]},"new":{document}}}')
        documents.append(document.encode())
    return ("[" + ",".join(answers) + "]").encode(), documents


async def test_a_large_answer_is_parsed_in_many_turns_of_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = Turns()
    turns.spy(monkeypatch, capture, "_read", lambda _: 1)
    body, documents = insert_answer(MANY)
    planned = plan(decode(Request("POST", b"/_db/shop/_api/document/products", [], b"[{}]")))
    assert isinstance(planned, DocumentPlan)
    async with turns.counted():
        found = await parse_answer_in_turns(planned, 202, [], body)
    assert [change.raw for change in found.changes] == documents
    assert len(json.loads(found.body)) == MANY
    assert b'"new"' not in found.body
    assert (turns.all("_read"), turns.most("_read") <= 100) == (MANY, True)


async def test_a_write_of_many_documents_is_queued_in_many_turns_and_stays_open_until_the_end(
    tmp_path: Path, database: Database, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin, turns = Origin(), Turns()
    turns.spy(monkeypatch, Queue, "put", lambda _self, _intent, changes: len(changes))
    turns.spy(monkeypatch, WriteReporter, "wrote", lambda _self, changes: len(changes))
    async with running(tmp_path, database, dsn, origin) as mirror:
        intent = mirror.intend(COLLECTION, (), revised=True)
        changes = tuple(origin.put(f"k{number}", number) for number in range(MANY))

        async def checks() -> None:
            """Check that the last key is pending and the write is open."""
            while mirror.is_open(intent):
                assert mirror._intents.index.pending(COLLECTION, [f"k{MANY - 1}"])
                assert mirror.backlog_of(COLLECTION) == 1
                await asyncio.sleep(0)
            assert await stored(database) == origin.documents[COLLECTION]

        async with turns.counted(), asyncio.TaskGroup() as group:
            group.create_task(checks())
            group.create_task(mirror.captured_in_turns(intent, changes))
        assert intent.ending is Ending.APPLIED
        assert not mirror._intents.index.pending(COLLECTION, ["k0", f"k{MANY - 1}"])
        assert origin.reads == 0
    for name in ("put", "wrote"):
        assert (turns.all(name), turns.most(name) <= MAX_PER_TURN) == (MANY, True), name


async def test_a_write_over_the_memory_limit_is_not_queued_and_is_read_again_in_parts(
    tmp_path: Path, database: Database, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin, turns = Origin(), Turns()
    turns.spy(monkeypatch, Queue, "put", lambda _self, _intent, changes: len(changes))
    turns.spy(monkeypatch, key_repair, "valid_key", lambda _: 1)
    async with running(tmp_path, database, dsn, origin, queue_documents=MANY - 1) as mirror:
        keys = tuple(f"k{number}" for number in range(MANY))
        intent = mirror.intend(COLLECTION, keys)
        changes = tuple(origin.put(key, 1) for key in keys)
        async with turns.counted():
            await mirror.captured_in_turns(intent, changes)
            assert mirror._intents.index.pending(COLLECTION, keys[-1:])
            await drained(mirror)
        assert await stored(database) == origin.documents[COLLECTION]
        assert not mirror._intents.index.pending(COLLECTION, keys)
    assert turns.all("put") == 0
    assert (turns.all("valid_key"), turns.most("valid_key") <= MAX_PER_TURN) == (MANY, True)


async def test_documents_are_encoded_and_written_in_bounded_pieces(
    tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns, clock = Turns(), Clock()
    turns.spy(monkeypatch, document_encoding, "to_jsonb", len)
    rows = [StampedVersion(f"k{number}", clock.tick(), _document(number, "x" * 100_000), 0) for number in range(60)]
    async with turns.counted():
        written = await TargetWriter(database).write(COLLECTION, rows)
    assert (len(written.applied), len(await stored(database))) == (60, 60)
    assert turns.most("to_jsonb") <= 256 << 10
    encoded = [EncodedVersion(row, "x" * 100_000, None) for row in rows]
    statements = list(statement_parts(encoded))
    assert [item for part in statements for item in part] == encoded
    assert all(sum(len(item.raw) for item in part) <= 4 << 20 for part in statements)
    assert [len(part) for part in statement_parts([EncodedVersion(rows[0], "x" * (5 << 20), None)] * 2)] == [1, 1]
    assert list(statement_parts([])) == [[]]


class RecordingLane:
    """A lane that records the lengths of its requests."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self.lengths: list[int] = []

    async def run(self, function: Callable[..., Any], raw: bytes, *, seconds: float) -> Any:
        self.lengths.append(len(raw))
        return await self._lane.run(function, raw, seconds=seconds)


async def test_a_large_document_is_escaped_by_a_worker(database: Database) -> None:
    isolation, clock = Isolation(["proxy.model.documents"]), Clock()
    lane = RecordingLane(isolation.lane("reading", workers=1, waiting=4, nice=0))
    mirror = TargetWriter(database)
    mirror.use_encoding_workers(cast("Lane", lane))
    large = _document(1, r"caf\u00e9 \u0000" * 50_000)
    try:
        rows = [
            StampedVersion("k1", clock.tick(), large, 0),
            StampedVersion("k2", clock.tick(), _document(2, r"\u0000"), 0),
        ]
        assert not (await mirror.write(COLLECTION, rows)).dead
        assert lane.lengths == [len(large)]
    finally:
        await isolation.close()
    assert await mirror.write(
        COLLECTION, [StampedVersion("k3", clock.tick(), large.replace(b"k1", b"k3"), 0)]
    )  # with none left
    assert set(await stored(database)) == {"k1", "k2", "k3"}
    table = await mirror.tables.relation(COLLECTION)
    texts = await database.fetch(f"SELECT key, doc->>'text' AS text FROM {table} ORDER BY key")
    assert [row["text"] for row in texts] == ["café \ufdd00" * 50_000, "\ufdd00", "café \ufdd00" * 50_000]


def _document(number: int, text: str) -> bytes:
    return f'{{"_key":"k{number}","_id":"products/k{number}","_rev":"_a","text":"{text}"}}'.encode()


async def test_the_keys_of_a_request_are_journaled_in_many_turns_and_atomically(
    tmp_path: Path, database: Database, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = Turns()
    turns.spy(monkeypatch, Journal, "intend", lambda _self, _collection, write, *_: len(write.keys))
    keys = tuple(f"k{number}" for number in range(MANY))
    async with running(tmp_path, database, dsn, Origin(), on_journal_error="refuse") as mirror:
        context = cast("AttemptContext", SimpleNamespace(mirror=mirror, generation=1, refuse_held=lambda _: None))
        attempt = Attempt(context, undo=Undo(), buffer=None, apart=False, counted=False)
        async with turns.counted():
            await attempt.intend_keys(COLLECTION, keys)
        assert [key for intent in attempt.intents for key in intent.keys] == list(keys)
        assert (turns.all("intend"), turns.most("intend") <= MAX_PER_TURN) == (MANY, True)
        assert mirror.backlog == len(attempt.intents)
        await attempt.conclude(NOTHING_WRITTEN)

        original, attempts = Journal.intend, iter(range(3))

        def full(*arguments: Any, **named: Any) -> int:
            if next(attempts, None) is None:
                raise JournalError("the disk is full")
            return original(*arguments, **named)

        monkeypatch.setattr(Journal, "intend", full)
        with pytest.raises(ArangoError):
            async with Attempt(context, undo=Undo(), buffer=None, apart=False, counted=False) as attempt:
                await attempt.intend_keys(COLLECTION, keys)
        assert mirror.backlog == 0
