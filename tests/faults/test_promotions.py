"""A short form of `make promotes`, and what it judges by: every kind of mistake is found."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import asyncpg
import httpx
import pytest

from deploy.demo.postgres import EmbeddedPostgres
from proxy.model.revision import encode_rev
from tests.faults.lying_server import Lie, LyingServer
from tests.faults.oracle import Crowd, Key
from tests.faults.promotions.control import ControlState, illegal, unsettled
from tests.faults.promotions.judgement import Row, Stored, judge, read
from tests.faults.promotions.rounds import Known, Rounds
from tests.faults.promotions.run import line
from tests.faults.promotions.stack import ACCOUNT, BOOKS, Stack, stack
from tests.faults.revisions import Revisions
from tests.faults.violations import Kind, by_kind

_FEW: Final = 400  # requests, in which a lie comes often


@pytest.mark.parametrize("lie", Lie)
async def test_clients_find_a_lie(lie: Lie) -> None:
    async with LyingServer(lie) as server:
        crowd = Crowd("k", [server.port, server.port], 2, 7, lambda *_: False, pace=0.0)
        async with crowd:
            while crowd.tally.reads < _FEW and not crowd.tally.violations:
                await asyncio.sleep(0.01)
    found = {kind for kind, number in by_kind(crowd.tally.violations).items() if number}
    assert bool(found) == bool(lie.kinds), crowd.tally
    assert found <= lie.kinds
    assert lie in (Lie.LOST_WRITE, Lie.RESURRECTED) or crowd.tally.failed == []


def _document(key: str, number: int, revision: int) -> dict[str, Any]:
    return {"_key": key, "_id": f"books/{key}", "_rev": encode_rev(revision), "n": number}


def _row(key: str, number: int, revision: int) -> Row:
    return Row(revision, json.dumps(_document(key, number, revision)), {"n": number})


def known() -> tuple[list[Key], Revisions]:
    """Return what clients may know: of `a` version 3, of `b` a removal, of `c` that version 2 may have happened."""
    revisions = Revisions()
    for key, version, revision in (("a", 1, 100), ("a", 3, 300), ("b", 1, 110), ("c", 1, 120)):
        assert revisions.saw(key, version, encode_rev(revision)) is None
    keys = [Key("a", issued=3, floor=3), Key("b", issued=2, floor=2, removals=[0, 2]), Key("c", issued=2, floor=1)]
    return keys, revisions


def stored() -> Stored:
    """Return what both databases may have then."""
    return Stored(
        origin={"a": _document("a", 3, 300), "c": _document("c", 1, 120)},
        target={"a": _row("a", 3, 300), "b": Row(110, None, None), "c": _row("c", 1, 120)},
        counts={"ArangoDB": 2, "trigger": 2},
    )


def test_what_agrees_is_right() -> None:
    keys, revisions = known()
    assert judge(keys, revisions, stored()) == []
    later = stored()  # the write whose answer was lost has happened
    later.origin["c"], later.target["c"] = _document("c", 2, 400), _row("c", 2, 400)
    assert judge(keys, revisions, later) == []


def _in_both(found: Stored, key: str, number: int, revision: int) -> None:
    found.origin[key], found.target[key] = _document(key, number, revision), _row(key, number, revision)


def _neither(found: Stored, key: str) -> None:
    del found.origin[key], found.target[key]
    found.counts = dict.fromkeys(found.counts, len(found.origin))


def _changed(found: Stored, key: str, **fields: Any) -> None:
    found.target[key] = replace(found.target[key], **fields)


MISTAKES: Final[dict[str, tuple[Kind, Callable[[Stored], object]]]] = {
    "a lost write": (Kind.LOST, lambda found: _neither(found, "a")),
    "a lost change": (Kind.STALE, lambda found: _in_both(found, "a", 1, 100)),
    "a removed document": (Kind.RESURRECTED, lambda found: _in_both(found, "b", 1, 110)),
    "a version that nobody wrote": (Kind.UNWRITTEN, lambda found: _in_both(found, "a", 4, 400)),
    "a document that nobody wrote": (Kind.UNWRITTEN, lambda found: _in_both(found, "x", 1, 400)),
    "another revision": (Kind.REVISION, lambda found: _in_both(found, "a", 3, 301)),
    "a revision of two documents": (Kind.REVISION, lambda found: _in_both(found, "c", 2, 300)),
    "lost in ArangoDB": (Kind.LOST, lambda found: found.origin.pop("a")),
    "lost in PostgreSQL": (Kind.LOST, lambda found: found.target.pop("a")),
    "a row changed in PostgreSQL": (
        Kind.DIFFERENT,
        lambda found: _changed(found, "a", raw=json.dumps({**_document("a", 3, 300), "more": 1})),
    ),
    "a document changed in ArangoDB": (
        Kind.DIFFERENT,
        lambda found: found.origin.update(a={**_document("a", 3, 300), "more": 1}),
    ),
    "one column of a row": (Kind.DIFFERENT, lambda found: _changed(found, "a", doc={"n": 2})),
    "a half of a tombstone": (Kind.DIFFERENT, lambda found: _changed(found, "b", doc={})),
    "a row with another revision than its document": (Kind.DIFFERENT, lambda found: _changed(found, "a", rev=301)),
    "a wrong count": (Kind.DIFFERENT, lambda found: found.counts.update(trigger=3)),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_judgement_finds_a_mistake(mistake: str) -> None:
    keys, revisions = known()
    found, (kind, plant) = stored(), MISTAKES[mistake]
    plant(found)
    assert kind in {one.kind for one in judge(keys, revisions, found)}


FLIPPED: Final = ControlState("flipped", 100, "origin", True, "settled", False, 7, "", 0, 0)
PROMOTED: Final = replace(FLIPPED, stage="promoted", writer="target", noted_rights=1)
HELD: Final = replace(FLIPPED, phase="hold", moves_to="promoted")
DRAINING: Final = replace(PROMOTED, writer="none", phase="drain", moves_to="flipped", closing=True, outbox=5)


def test_states_on_the_way_are_legal() -> None:
    for state in (FLIPPED, HELD, replace(HELD, noted_rights=1), PROMOTED, replace(PROMOTED, outbox=9), DRAINING):
        assert illegal(state) == []
    assert unsettled(FLIPPED, {"root": "rw"}) == unsettled(PROMOTED, {"root": "ro"}) == []


@pytest.mark.parametrize(
    "state",
    [
        replace(FLIPPED, writer="target"),
        replace(FLIPPED, writer="none"),
        replace(PROMOTED, writer="origin"),
        replace(PROMOTED, writer="none"),
        replace(HELD, writer="none"),
        replace(DRAINING, writer="target"),
        replace(FLIPPED, outbox=1),
        replace(FLIPPED, stage="mirror"),
        replace(FLIPPED, phase="hold"),
        replace(HELD, phase="settled"),
        replace(PROMOTED, in_arangodb=False),
    ],
)
def test_an_illegal_state_is_found(state: ControlState) -> None:
    assert illegal(state) != []


@pytest.mark.parametrize(
    ("state", "level"),
    [
        (HELD, "rw"),
        (replace(FLIPPED, closing=True), "rw"),
        (replace(PROMOTED, outbox=1), "ro"),
        (FLIPPED, "ro"),
        (PROMOTED, "rw"),
        (replace(FLIPPED, noted_rights=1), "rw"),
        (replace(PROMOTED, noted_rights=0), "ro"),
    ],
)
def test_a_state_that_is_not_at_rest_is_found(state: ControlState, level: str) -> None:
    assert unsettled(state, {"root": level}) != []


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_promotions_lose_nothing_and_no_request_fails(
    postgres_server: EmbeddedPostgres, dsn: str, tmp_path: Path
) -> None:
    """I7: nothing that was acknowledged or shown is lost or undone; revisions never go back; both databases agree."""
    known, results = Known(), []
    async with stack(tmp_path, postgres_server, dsn) as made:
        for scenario in ("calm", "push late, applier killed"):
            results.append(await Rounds(made, scenario, 3, known, clients=4, pace=0.05).run(1))
        await _plant_and_judge(made, known)
    assert all(result.good for result in results), "\n".join(map(line, results))


async def _plant_and_judge(made: Stack, known: Known) -> None:
    """Change both databases directly: the judgement of what they really have finds each change."""
    keys = [key for crowd in known.keys for key in crowd if key.floor and key.floor not in key.removals]
    changed, removed = keys[0].name, keys[1].name
    connection = await asyncpg.connect(made.env.dsn)
    try:
        relation = await connection.fetchval("SELECT relation FROM _crossfade.collection WHERE collection = $1", BOOKS)
        other = "replace(raw::text, '\"n\"', '\"m\"')::json"
        await connection.execute(
            f"UPDATE {relation} SET raw = {other}, doc = _crossfade.queryable({other}) WHERE key = $1", changed
        )
    finally:
        await connection.close()
    async with httpx.AsyncClient(base_url=made.env.origin.url, auth=ACCOUNT) as direct:
        (await direct.delete(f"/_api/document/books/{removed}")).raise_for_status()
    found = judge(
        [key for crowd in known.keys for key in crowd],
        known.revisions,
        await read(made.env.origin.url, ACCOUNT, made.env.dsn, BOOKS),
    )
    texts = {kind: [one.text for one in found if one.kind is kind] for kind in Kind}
    assert any(changed in text for text in texts[Kind.DIFFERENT]), found
    assert any(removed in text for text in texts[Kind.LOST]), found
