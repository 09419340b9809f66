"""What PostgreSQL will not have, while it serves reads: the flip is over before the client has its answer (I7, I10).

Every write here is acknowledged by ArangoDB and never comes to PostgreSQL, each in another way. A read that begins
after the answer shows it all the same, the collection is at `shadow`, and what lacks is said.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from proxy.base.errors import JournalError, RefusedError
from proxy.control.transitions_plan import DesiredState
from proxy.journal.journal import Journal
from proxy.model.stages import Stage, Standing
from proxy.replication.failover_detector import FailoverDetector
from proxy.state import audit, lacking
from tests.harness import Running, eventually, running

BOOKS = "_system/books"
DOCUMENT = "/_api/document/books"
_TRIGGER = """
CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.doc IS NULL AND {removals}) OR NEW.doc ->> 'n' = '666' THEN
        RAISE 'not this one' USING ERRCODE = '{state}';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON _system.books FOR EACH ROW EXECUTE FUNCTION public.refuse();
"""
Write = Callable[[httpx.AsyncClient], Awaitable[httpx.Response]]


@pytest.fixture
async def stack(dsn: str, tmp_path: Path) -> AsyncIterator[Running]:
    async with running(dsn, tmp_path) as started:
        await started.client.post("/_api/collection", json={"name": "books"})
        for stage in (Stage.MIRROR, Stage.SHADOW):
            await started.move(Standing(stage), BOOKS)
        await started.client.post(DOCUMENT, json=[{"_key": key, "n": 0} for key in ("a", "b", "c")])
        await started.drained()
        yield started


async def flip(stack: Running) -> None:
    await stack.move(Standing(Stage.FLIPPED, 100), BOOKS)

    async def served() -> bool:
        answer = await stack.client.get(DOCUMENT + "/a", headers={"x-crossfade-explain": "1"})
        return answer.headers["x-crossfade-served-by"] == "postgresql"

    await eventually(served, "PostgreSQL serves reads")


async def stage(stack: Running) -> str:
    found: str = await stack.database.fetchval("SELECT stage FROM _crossfade.collection WHERE collection = $1", BOOKS)
    return found


async def why(stack: Running) -> str:
    """The reason of the newest change of stage."""
    entry = (await audit.entries(stack.database, limit=1))[0]
    assert entry.action == "rollback"
    return entry.reason or ""


async def letters(stack: Running) -> list[str]:
    rows = await stack.database.fetch("SELECT key FROM _crossfade.dead_letter ORDER BY key")
    return [row["key"] for row in rows]


async def refuse(stack: Running, state: str = "P0001", *, removals: bool = False) -> None:
    await stack.database.execute(_TRIGGER.format(state=state, removals="true" if removals else "false"))


async def mend(stack: Running) -> None:
    await stack.database.execute("DROP FUNCTION public.refuse CASCADE")


async def _stream(client: httpx.AsyncClient) -> httpx.Response:
    begun = await client.post("/_api/transaction/begin", json={"collections": {"write": ["books"]}})
    number = begun.json()["result"]["id"]
    await client.patch(DOCUMENT + "/a", json={"n": 666}, headers={"x-arango-trx-id": number})
    return await client.put(f"/_api/transaction/{number}")


def _lines(*documents: dict[str, object]) -> str:
    return "\n".join(map(json.dumps, documents))


# each makes document `a` hold 666
WRITES: dict[str, Write] = {
    "insert over it": lambda c: c.post(DOCUMENT + "?overwriteMode=replace", json={"_key": "a", "n": 666}),
    "update": lambda c: c.patch(DOCUMENT + "/a", json={"n": 666}),
    "replace": lambda c: c.put(DOCUMENT + "/a", json={"n": 666}),
    "array": lambda c: c.patch(DOCUMENT, json=[{"_key": "b", "n": 1}, {"_key": "a", "n": 666}, {"_key": "c", "n": 1}]),
    "query": lambda c: c.post("/_api/cursor", json={"query": "UPDATE 'a' WITH {n: 666} IN books"}),
    "import": lambda c: c.post(
        "/_api/import?collection=books&type=documents&onDuplicate=update",
        content=_lines({"_key": "a", "n": 666}, {"_key": "d", "n": 1}),
    ),
    "transaction": _stream,
}


@pytest.mark.parametrize("write", WRITES)
async def test_a_document_that_postgresql_refuses_takes_the_flip_back_before_the_answer(
    stack: Running, write: str
) -> None:
    await flip(stack)
    await refuse(stack)
    answer = await WRITES[write](stack.client)
    assert answer.status_code < 300, answer.text
    assert (await stack.client.get(DOCUMENT + "/a")).json()["n"] == 666
    assert await stage(stack) == "shadow"
    assert await letters(stack) == ["a"]
    assert await why(stack) == f"PostgreSQL refused a document of {BOOKS}"


@pytest.mark.parametrize("state", ["23514", "22012", "CF001", "38000"])
async def test_a_trigger_may_refuse_with_any_sqlstate(stack: Running, state: str) -> None:
    """One document never stops the others, whatever PostgreSQL calls its refusal."""
    await flip(stack)
    await refuse(stack, state)
    await stack.client.patch(DOCUMENT + "/a", json={"n": 666})
    assert (await stack.client.get(DOCUMENT + "/a")).json()["n"] == 666
    assert await stage(stack) == "shadow"
    await stack.client.patch(DOCUMENT + "/b", json={"n": 1})
    await stack.drained()
    assert await stack.differences(BOOKS) == ["a: different"]


PASSING = ["40001", "57014", "25006", "53200", "57P01", "42501"]


@pytest.mark.parametrize("state", PASSING)
async def test_a_refusal_that_passes_elsewhere_and_goes_on_for_one_document_is_a_dead_letter(
    stack: Running, state: str
) -> None:
    """Whatever a trigger calls it: others are applied, by captures and by what is read again, and it heals later."""
    await stack.client.post("/_api/collection", json={"name": "others"})
    await stack.move(Standing(Stage.MIRROR), "_system/others")
    await refuse(stack, state, removals=True)
    refused = [{"_key": f"k{n}", "n": 666 if n in (3, 17) else n} for n in range(30)]
    await stack.client.post(DOCUMENT, json=refused)
    await stack.client.delete(DOCUMENT + "/a")
    await stack.client.post("/_api/document/others", json={"_key": "x"})
    await stack.drained()
    assert await letters(stack) == ["a", "k17", "k3"]
    assert sorted(await stack.differences(BOOKS)) == ["a: extra", "k17: missing", "k3: missing"]
    assert await stack.differences("_system/others") == []
    reason = await stack.database.fetchval("SELECT reason FROM _crossfade.dead_letter WHERE key = 'k3'")
    assert reason.startswith(f"{state}: ")
    await mend(stack)
    await stack.application.mirror.retry_letters(0)
    assert await stack.differences(BOOKS) == []
    assert await letters(stack) == []


@pytest.mark.parametrize("write", ["update", "query", "transaction", "removal"])
async def test_while_flipped_such_a_refusal_takes_the_flip_back_before_the_answer(stack: Running, write: str) -> None:
    await flip(stack)
    await refuse(stack, "40001", removals=True)
    answer = await (WRITES[write](stack.client) if write in WRITES else stack.client.delete(DOCUMENT + "/a"))
    assert answer.status_code < 300, answer.text
    shown = await stack.client.get(DOCUMENT + "/a")
    assert shown.status_code == 404 if write == "removal" else shown.json()["n"] == 666
    assert await stage(stack) == "shadow"
    assert await letters(stack) == ["a"]
    await stack.drained()
    assert [one for one in await stack.differences(BOOKS) if not one.startswith("a:")] == []


async def test_a_removal_that_was_refused_is_over_once_its_row_is_gone_whoever_removed_it(stack: Running) -> None:
    """There is no tombstone with its revision then, and none is needed: both sides agree."""
    await refuse(stack, removals=True)
    await stack.client.delete(DOCUMENT + "/a")
    await stack.drained()
    assert await letters(stack) == ["a"]
    await stack.application.mirror.retry_letters(0)
    assert await letters(stack) == ["a"]
    await mend(stack)
    await stack.database.execute("DELETE FROM _system.books WHERE key = 'a'")
    await stack.application.mirror.retry_letters(0)
    assert await letters(stack) == []
    assert await stack.differences(BOOKS) == []


async def test_a_table_that_refuses_every_row_keeps_its_backlog_and_delays_no_other(stack: Running) -> None:
    """A refusal that passes, for all of them, is the table's trouble: nothing is put aside, and the reason is shown."""
    await stack.client.post("/_api/collection", json={"name": "others"})
    await stack.move(Standing(Stage.MIRROR), "_system/others")
    await refuse(stack, "53100")
    text = str(await stack.database.fetchval("SELECT pg_get_functiondef('public.refuse()'::regprocedure)"))
    await stack.database.execute(text.replace("NEW.doc ->> 'n' = '666'", "true"))
    await stack.client.post("/_api/import?collection=books&type=documents", content=_lines({"_key": "d", "n": 1}))
    await stack.client.patch(DOCUMENT + "/b", json={"n": 1})
    mirror = stack.application.mirror
    await eventually(lambda: any("53100" in reason for reason in mirror.waits_for), "it says for what it waits")
    for number in range(3):
        body = _lines({"_key": f"x{number}"})
        await stack.client.post("/_api/import?collection=others&type=documents", content=body)
        await eventually(lambda: mirror.backlog_of("_system/others") == 0, "others are applied")
    assert await stack.differences("_system/others") == []
    assert mirror.backlog_of(BOOKS) == 2
    assert await letters(stack) == []
    await mend(stack)
    await stack.drained()
    assert await stack.differences(BOOKS) == []


@pytest.mark.parametrize("write", [*WRITES, "removal"])
async def test_a_row_that_a_trigger_passes_over_without_a_word_is_refused_like_any_other(
    stack: Running, write: str
) -> None:
    """A trigger that returns NULL is no error: nothing is applied, and nothing would ever be."""
    await flip(stack)
    await refuse(stack, removals=True)
    name = "SELECT pg_get_functiondef('public.refuse()'::regprocedure)"
    text = str(await stack.database.fetchval(name))
    await stack.database.execute(text.replace("RAISE 'not this one' USING ERRCODE = 'P0001'", "RETURN NULL"))
    removal = write == "removal"
    answer = await (stack.client.delete(DOCUMENT + "/a") if removal else WRITES[write](stack.client))
    assert answer.status_code < 300, answer.text
    shown = await stack.client.get(DOCUMENT + "/a")
    assert shown.status_code == 404 if removal else shown.json()["n"] == 666
    assert (await stage(stack), await letters(stack)) == ("shadow", ["a"])
    await stack.drained()  # a backlog for ever would keep every collection from its flip
    await mend(stack)
    await stack.application.mirror.retry_letters(0)
    assert await letters(stack) == []
    assert await stack.differences(BOOKS) == []


async def test_a_value_that_is_too_large_for_an_index_takes_the_flip_back_and_heals_without_the_index(
    stack: Running,
) -> None:
    await flip(stack)
    await stack.database.execute("CREATE INDEX small ON _system.books ((doc ->> 't'))")
    dice = random.Random(1)
    text = "".join(chr(dice.randrange(33, 0x2000)) for _ in range(9000))
    assert (await stack.client.patch(DOCUMENT + "/a", json={"t": text})).status_code < 300
    assert (await stack.client.get(DOCUMENT + "/a")).json()["t"] == text
    assert (await stage(stack), await letters(stack)) == ("shadow", ["a"])
    await stack.database.execute("DROP INDEX _system.small")
    await stack.application.mirror.retry_letters(0)
    assert await letters(stack) == []
    assert await stack.differences(BOOKS) == []


async def test_a_removal_that_postgresql_refuses_takes_the_flip_back(stack: Running) -> None:
    await flip(stack)
    await refuse(stack, removals=True)
    assert (await stack.client.delete(DOCUMENT + "/a")).status_code < 300
    assert (await stack.client.get(DOCUMENT + "/a")).status_code == 404
    assert (await stage(stack), await letters(stack)) == ("shadow", ["a"])
    await stack.application.mirror.retry_letters(0)
    assert await letters(stack) == ["a"], "it is refused still, and said once"
    await mend(stack)
    await stack.application.mirror.retry_letters(0)
    assert await letters(stack) == []
    assert await stack.differences(BOOKS) == []


async def test_a_dead_letter_is_taken_back_by_a_new_write_and_by_a_retry(stack: Running) -> None:
    await refuse(stack)
    for key in ("a", "b"):
        await stack.client.patch(f"{DOCUMENT}/{key}", json={"n": 666})
    await stack.drained()
    assert await letters(stack) == ["a", "b"]
    await stack.client.patch(DOCUMENT + "/a", json={"n": 1})
    await stack.drained()
    assert await letters(stack) == ["b"]
    with pytest.raises(RefusedError, match="no dead letter"):
        await flip(stack)  # no force goes past it
    await mend(stack)
    await stack.application.mirror.retry_letters(0)
    assert await letters(stack) == []
    await flip(stack)


async def test_an_answer_that_shows_what_postgresql_refuses_takes_the_flip_back(stack: Running) -> None:
    """mirror-protocol, "Flip", 2: a conflict shows ArangoDB's state, and the next read may come from PostgreSQL."""
    await flip(stack)
    await refuse(stack)
    await stack.direct.patch(DOCUMENT + "/a", json={"n": 666})  # as another proxy's write that is under way
    assert (await stack.client.post(DOCUMENT, json={"_key": "a"})).status_code == 409
    assert (await stack.client.get(DOCUMENT + "/a")).json()["n"] == 666
    assert (await stage(stack), await letters(stack)) == ("shadow", ["a"])


# ---- marks


def full(*_: object, **__: object) -> int:
    raise JournalError("the disk is full")


@pytest.mark.parametrize("write", WRITES)
async def test_with_a_full_journal_the_flip_is_over_before_the_answer(
    stack: Running, monkeypatch: pytest.MonkeyPatch, write: str
) -> None:
    """journal_full = forward: what could not be noted may be lost by a kill, and cannot be read again."""
    await flip(stack)
    monkeypatch.setattr(Journal, "intend", full)
    answer = await WRITES[write](stack.client)
    assert answer.status_code < 300, answer.text
    assert (await stack.client.get(DOCUMENT + "/a")).json()["n"] == 666
    assert await stage(stack) == "shadow"
    assert "the journal could not be written" in await why(stack)
    monkeypatch.undo()
    await stack.drained()


async def test_documents_that_arangodb_will_not_give_take_the_flip_back(
    stack: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write that must be read again and cannot be ends in a mark, and its answer waits for the end of the flip."""
    from proxy.base.errors import ArangoError
    from proxy.stores.arango import ArangoStore

    async def none(self: ArangoStore, database: str, collection: str, keys: Sequence[str]) -> dict[str, bytes | None]:
        raise ArangoError(1203)

    await flip(stack)
    monkeypatch.setattr(ArangoStore, "read", none)
    assert (await WRITES["query"](stack.client)).status_code < 300
    assert (await stack.client.get(DOCUMENT + "/a")).json()["n"] == 666
    assert await stage(stack) == "shadow"
    assert "could not be read" in await why(stack)


async def test_a_failover_of_postgresql_takes_every_flip_back(stack: Running) -> None:
    """What clients were told may be among the commits that it lost."""
    await flip(stack)
    timeline = FailoverDetector(stack.database, "one")
    await timeline.step()
    await stack.database.execute("UPDATE _crossfade.timeline SET timeline = timeline + 1")
    assert await timeline.step()
    assert await stage(stack) == "shadow"
    assert "timeline" in await why(stack)


async def test_a_mark_between_the_gates_and_the_begin_of_a_flip_forbids_it(
    stack: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    from proxy.control import gate_inputs

    judge = gate_inputs.judge

    async def judged(*arguments: Any) -> Any:
        found = await judge(*arguments)
        await lacking.mark(stack.database, [BOOKS], ["in between"], "test")
        return found

    monkeypatch.setattr(gate_inputs, "judge", judged)
    with pytest.raises(RefusedError, match="in between"):
        await stack.move(Standing(Stage.FLIPPED, 100), BOOKS)
    assert await stage(stack) == "shadow"


async def test_a_mark_aborts_an_epoch_that_would_flip_its_collection(stack: Running) -> None:
    from proxy.control import controller

    intent = stack.application.mirror.intend(BOOKS, ("x",))  # a backlog: the flip waits in `begin`
    flipping = asyncio.create_task(
        controller.change(
            stack.database,
            [DesiredState(BOOKS, Stage.FLIPPED, 100)],
            settings=stack.settings,
            actor="test",
            reason="test",
            force=True,
            timeout=20,
        )
    )
    await eventually(lambda: stack.application.lease.snapshot.behaviour(BOOKS).synchronous, "the epoch has begun")
    await lacking.mark(stack.database, ["_system/*"], ["a stranger"], "test")
    with pytest.raises(RefusedError):
        await flipping
    stack.application.mirror.close_intent(intent)
    assert await stage(stack) == "shadow"


# ---- every other place that marks (tests/architecture/test_giving_up.py names them)


async def _flipped_while_open(stack: Running) -> None:
    """Flipped by hand, as it may be where an intent of before comes to its end only now."""
    await stack.database.execute("UPDATE _crossfade.collection SET stage = 'flipped', weight = 100")
    await stack.database.execute("UPDATE _crossfade.control SET generation = generation + 1")
    await eventually(lambda: stack.application.lease.snapshot.behaviour(BOOKS).synchronous, "it is flipped")


async def test_an_opaque_write_ends_with_the_flip(stack: Running) -> None:
    mirror = stack.application.mirror
    intent = mirror.intend("_system/*", ("_system/*",), opaque="somebody else's code")
    await _flipped_while_open(stack)
    mirror.opaque_done(intent, ("_system/*",), "somebody else's code")
    assert (await mirror.applied(intent)).value == "given up"
    assert await stage(stack) == "shadow"
    assert "somebody else's code" in await why(stack)


async def test_what_an_earlier_process_left_opaque_ends_the_flip(stack: Running) -> None:
    mirror = stack.application.mirror
    intent = mirror.intend(BOOKS, (BOOKS,), opaque="cut in the middle")
    await _flipped_while_open(stack)
    mirror.reread(intent)  # as recovery does: the journal alone knows of it
    assert (await mirror.applied(intent)).value == "given up"
    assert await stage(stack) == "shadow"


async def test_a_search_that_finds_too_much_ends_the_flip(stack: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    from proxy.replication import revision_scan

    monkeypatch.setattr(revision_scan, "_LIMIT", 1)
    mirror = stack.application.mirror
    intent = mirror.intend(BOOKS, (), revised=True)
    await _flipped_while_open(stack)
    mirror.reread(intent)
    assert (await mirror.applied(intent)).value == "given up"
    assert await stage(stack) == "shadow"


async def test_a_sweep_that_cannot_be_done_ends_the_flip(stack: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    from proxy.stores.arango import ArangoStore

    async def mixed(self: ArangoStore, *_: object) -> list[tuple[str, int]]:
        return [("b", 1), ("a", 1)]

    monkeypatch.setattr(ArangoStore, "revisions", mixed)
    mirror = stack.application.mirror
    intent = mirror.intend(BOOKS, (BOOKS,), sweep="truncate")
    await _flipped_while_open(stack)
    mirror.reread(intent)
    assert (await mirror.applied(intent)).value == "given up"
    assert await stage(stack) == "shadow"


async def test_an_answer_that_cannot_be_brought_up_ends_the_flip(
    stack: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    from proxy.base.errors import ArangoError
    from proxy.stores.arango import ArangoStore

    async def none(self: ArangoStore, *_: object) -> dict[str, bytes | None]:
        raise ArangoError(1203)

    await flip(stack)
    monkeypatch.setattr(ArangoStore, "read", none)
    assert (await stack.client.post(DOCUMENT, json={"_key": "a"})).status_code == 409
    assert await stage(stack) == "shadow"


async def test_a_repair_that_postgresql_refuses_ends_the_flip(stack: Running) -> None:
    """A worker's verification finds a difference, and PostgreSQL does not take what ArangoDB has."""
    from backfill.key_repair import repair_keys
    from proxy.stores.arango import ArangoStore

    await flip(stack)
    await refuse(stack)
    await stack.direct.patch(DOCUMENT + "/a", json={"n": 666})
    source = ArangoStore(stack.application.origin, "root", "")
    result = await repair_keys(stack.database, source, BOOKS, ["a"])
    assert result.refused == ("a",)
    assert (await stage(stack), await letters(stack)) == ("shadow", ["a"])
