"""Rows that PostgreSQL refuses while it serves reads: the flip is rolled back before the answer (I7, I10).

Every write here is acknowledged by ArangoDB and refused by PostgreSQL, each in another way. A read that begins
after the answer shows it all the same, the collection is at `shadow`, and the missing document is reported.
"""

from __future__ import annotations

import random

import pytest

from proxy.base.errors import PreconditionFailed
from proxy.model.stages import CollectionState, Stage
from tests.harness import Running, eventually
from tests.integration.refused_rows_fixtures import (
    BOOKS,
    DOCUMENT,
    WRITES,
    dead_letter_keys,
    flip,
    json_lines,
    refuse,
    rollback_reason,
    stack,
    stage,
)

__all__ = ["stack"]  # fixtures


async def accept_again(stack: Running) -> None:
    await stack.database.execute("DROP FUNCTION public.refuse CASCADE")


@pytest.mark.parametrize("write", WRITES)
async def test_a_document_that_postgresql_refuses_causes_a_rollback_before_the_answer(
    stack: Running, write: str
) -> None:
    await flip(stack)
    await refuse(stack)
    answer = await WRITES[write](stack.client)
    assert answer.status_code < 300, answer.text
    assert (await stack.client.get(DOCUMENT + "/a")).json()["n"] == 666
    assert await stage(stack) == "shadow"
    assert await dead_letter_keys(stack) == ["a"]
    assert await rollback_reason(stack) == f"PostgreSQL refused a document of {BOOKS}"


@pytest.mark.parametrize("state", ["23514", "22012", "CF001", "38000"])
async def test_a_trigger_may_refuse_with_any_sqlstate(stack: Running, state: str) -> None:
    """One document never stops the others, whatever the SQLSTATE of its refusal."""
    await flip(stack)
    await refuse(stack, state)
    await stack.client.patch(DOCUMENT + "/a", json={"n": 666})
    assert (await stack.client.get(DOCUMENT + "/a")).json()["n"] == 666
    assert await stage(stack) == "shadow"
    await stack.client.patch(DOCUMENT + "/b", json={"n": 1})
    await stack.drained()
    assert await stack.differences(BOOKS) == ["a: different"]


TRANSIENT_STATES = ["40001", "57014", "25006", "53200", "57P01", "42501"]


@pytest.mark.parametrize("state", TRANSIENT_STATES)
async def test_a_transient_error_that_persists_for_one_document_makes_a_dead_letter(stack: Running, state: str) -> None:
    """Whatever the SQLSTATE: other documents are applied, captured or read again, and this one recovers later."""
    await stack.client.post("/_api/collection", json={"name": "others"})
    await stack.move(CollectionState(Stage.MIRROR), "_system/others")
    await refuse(stack, state, removals=True)
    refused = [{"_key": f"k{n}", "n": 666 if n in (3, 17) else n} for n in range(30)]
    await stack.client.post(DOCUMENT, json=refused)
    await stack.client.delete(DOCUMENT + "/a")
    await stack.client.post("/_api/document/others", json={"_key": "x"})
    await stack.drained()
    assert await dead_letter_keys(stack) == ["a", "k17", "k3"]
    assert sorted(await stack.differences(BOOKS)) == ["a: extra", "k17: missing", "k3: missing"]
    assert await stack.differences("_system/others") == []
    reason = await stack.database.fetchval("SELECT reason FROM _crossfade.dead_letter WHERE key = 'k3'")
    assert reason.startswith(f"{state}: ")
    await accept_again(stack)
    await stack.application.mirror.catch_up.retry_dead_letters(0)
    assert await stack.differences(BOOKS) == []
    assert await dead_letter_keys(stack) == []


@pytest.mark.parametrize("write", ["update", "query", "transaction", "removal"])
async def test_while_flipped_a_persistent_refusal_causes_a_rollback_before_the_answer(
    stack: Running, write: str
) -> None:
    await flip(stack)
    await refuse(stack, "40001", removals=True)
    answer = await (WRITES[write](stack.client) if write in WRITES else stack.client.delete(DOCUMENT + "/a"))
    assert answer.status_code < 300, answer.text
    shown = await stack.client.get(DOCUMENT + "/a")
    assert shown.status_code == 404 if write == "removal" else shown.json()["n"] == 666
    assert await stage(stack) == "shadow"
    assert await dead_letter_keys(stack) == ["a"]
    await stack.drained()
    assert [one for one in await stack.differences(BOOKS) if not one.startswith("a:")] == []


async def test_the_dead_letter_of_a_removal_ends_when_its_row_is_gone(stack: Running) -> None:
    """Then there is no tombstone with its revision, and none is needed: both sides agree."""
    await refuse(stack, removals=True)
    await stack.client.delete(DOCUMENT + "/a")
    await stack.drained()
    assert await dead_letter_keys(stack) == ["a"]
    await stack.application.mirror.catch_up.retry_dead_letters(0)
    assert await dead_letter_keys(stack) == ["a"]
    await accept_again(stack)
    await stack.database.execute("DELETE FROM _system.books WHERE key = 'a'")
    await stack.application.mirror.catch_up.retry_dead_letters(0)
    assert await dead_letter_keys(stack) == []
    assert await stack.differences(BOOKS) == []


async def test_a_table_that_refuses_every_row_keeps_its_backlog_and_delays_no_other(stack: Running) -> None:
    """A transient refusal of every row is a problem of the table: no dead letters, and the reason is shown."""
    await stack.client.post("/_api/collection", json={"name": "others"})
    await stack.move(CollectionState(Stage.MIRROR), "_system/others")
    await refuse(stack, "53100")
    text = str(await stack.database.fetchval("SELECT pg_get_functiondef('public.refuse()'::regprocedure)"))
    await stack.database.execute(text.replace("NEW.doc ->> 'n' = '666'", "true"))
    await stack.client.post("/_api/import?collection=books&type=documents", content=json_lines({"_key": "d", "n": 1}))
    await stack.client.patch(DOCUMENT + "/b", json={"n": 1})
    mirror = stack.application.mirror
    await eventually(lambda: any("53100" in reason for reason in mirror.waits_for), "the reason for waiting is shown")
    for number in range(3):
        body = json_lines({"_key": f"x{number}"})
        await stack.client.post("/_api/import?collection=others&type=documents", content=body)
        await eventually(lambda: mirror.backlog_of("_system/others") == 0, "others are applied")
    assert await stack.differences("_system/others") == []
    assert mirror.backlog_of(BOOKS) == 2
    assert await dead_letter_keys(stack) == []
    await accept_again(stack)
    await stack.drained()
    assert await stack.differences(BOOKS) == []


@pytest.mark.parametrize("write", [*WRITES, "removal"])
async def test_a_row_that_a_trigger_skips_silently_counts_as_refused(stack: Running, write: str) -> None:
    """A trigger that returns NULL raises no error, but no version is ever applied."""
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
    assert (await stage(stack), await dead_letter_keys(stack)) == ("shadow", ["a"])
    await stack.drained()  # a backlog for ever would keep every collection from its flip
    await accept_again(stack)
    await stack.application.mirror.catch_up.retry_dead_letters(0)
    assert await dead_letter_keys(stack) == []
    assert await stack.differences(BOOKS) == []


async def test_a_value_too_large_for_an_index_causes_a_rollback_and_is_repaired_without_it(
    stack: Running,
) -> None:
    await flip(stack)
    await stack.database.execute("CREATE INDEX small ON _system.books ((doc ->> 't'))")
    rng = random.Random(1)
    text = "".join(chr(rng.randrange(33, 0x2000)) for _ in range(9000))
    assert (await stack.client.patch(DOCUMENT + "/a", json={"t": text})).status_code < 300
    assert (await stack.client.get(DOCUMENT + "/a")).json()["t"] == text
    assert (await stage(stack), await dead_letter_keys(stack)) == ("shadow", ["a"])
    await stack.database.execute("DROP INDEX _system.small")
    await stack.application.mirror.catch_up.retry_dead_letters(0)
    assert await dead_letter_keys(stack) == []
    assert await stack.differences(BOOKS) == []


async def test_a_removal_that_postgresql_refuses_causes_a_rollback(stack: Running) -> None:
    await flip(stack)
    await refuse(stack, removals=True)
    assert (await stack.client.delete(DOCUMENT + "/a")).status_code < 300
    assert (await stack.client.get(DOCUMENT + "/a")).status_code == 404
    assert (await stage(stack), await dead_letter_keys(stack)) == ("shadow", ["a"])
    await stack.application.mirror.catch_up.retry_dead_letters(0)
    assert await dead_letter_keys(stack) == ["a"], "it is still refused, and reported once"
    await accept_again(stack)
    await stack.application.mirror.catch_up.retry_dead_letters(0)
    assert await dead_letter_keys(stack) == []
    assert await stack.differences(BOOKS) == []


async def test_a_dead_letter_is_cleared_by_a_new_write_and_by_a_retry(stack: Running) -> None:
    await refuse(stack)
    for key in ("a", "b"):
        await stack.client.patch(f"{DOCUMENT}/{key}", json={"n": 666})
    await stack.drained()
    assert await dead_letter_keys(stack) == ["a", "b"]
    await stack.client.patch(DOCUMENT + "/a", json={"n": 1})
    await stack.drained()
    assert await dead_letter_keys(stack) == ["b"]
    with pytest.raises(PreconditionFailed, match="no dead letter"):
        await flip(stack)  # --force does not override it
    await accept_again(stack)
    await stack.application.mirror.catch_up.retry_dead_letters(0)
    assert await dead_letter_keys(stack) == []
    await flip(stack)


async def test_an_answer_showing_a_refused_document_causes_a_rollback(stack: Running) -> None:
    """mirror-protocol, "Flip", 2: a conflict shows ArangoDB's state, and the next read may come from PostgreSQL."""
    await flip(stack)
    await refuse(stack)
    await stack.direct.patch(DOCUMENT + "/a", json={"n": 666})  # as another proxy's write that is under way
    assert (await stack.client.post(DOCUMENT, json={"_key": "a"})).status_code == 409
    assert (await stack.client.get(DOCUMENT + "/a")).json()["n"] == 666
    assert (await stage(stack), await dead_letter_keys(stack)) == ("shadow", ["a"])
