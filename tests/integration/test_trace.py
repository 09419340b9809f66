"""`crossfade trace`: the history of one document, from both databases and the instances."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import proxy.cli
from proxy.base.errors import PreconditionFailed
from proxy.cli import trace
from proxy.cli.trace import InstanceView, TracedVersion
from proxy.model.stages import CollectionState, Stage
from tests.harness import Running, running

BOOKS = "_system/books"
DOCUMENT = "/_api/document/books"
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_a_document_is_traced_from_its_write_to_its_tombstone(
    dsn: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running(dsn, tmp_path) as stack:
        await stack.client.post("/_api/collection", json={"name": "books"})
        await stack.move(CollectionState(Stage.MIRROR), BOOKS)
        created = await stack.client.post(DOCUMENT, json={"_key": "a", "n": 1}, headers={"traceparent": TRACEPARENT})
        await stack.drained()
        found = await trace.read(stack.settings, stack.database, BOOKS, "a")
        assert (found.stage, found.verdict) == ("mirror", "equal")
        assert found.origin.revision == found.target.revision
        assert found.origin.written_at is not None
        [view] = found.instances
        assert (view.instance, view.unheard) == (stack.application.instance, None)
        [applied] = view.known["applied"]
        assert applied["trace"] == TRACEPARENT
        assert (applied["revision"], applied["how"]) == (found.target.revision, "captured")
        assert applied["taken"] <= applied["applied"]
        assert created.json()["_rev"]

        await stack.client.delete(DOCUMENT + "/a")
        await stack.drained()
        found = await trace.read(stack.settings, stack.database, BOOKS, "a")
        assert (found.verdict, found.origin.state, found.target.state) == ("equal", "absent", "tombstone")
        assert found.target.mark
        assert [item["removed"] for item in found.instances[0].known["applied"]] == [False, True]
        trace.show(found)
        output = capsys.readouterr().out
        assert "tombstone, revision" in output
        assert "removal of" in output
        with pytest.raises(PreconditionFailed, match="crossfade status"):
            await trace.read(stack.settings, stack.database, "_system/unknown", "a")


async def test_open_intents_dead_letters_and_marks_are_shown(
    dsn: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running(dsn, tmp_path) as stack:
        await stack.client.post("/_api/collection", json={"name": "books"})
        await stack.move(CollectionState(Stage.MIRROR), BOOKS)
        await stack.client.post(DOCUMENT, json={"_key": "a", "n": 1})
        await stack.drained()
        await stack.database.execute(
            "INSERT INTO _crossfade.dead_letter (collection, key, rev, reason) VALUES ($1, 'a', $2, '22: too deep')",
            *(BOOKS, 1 << 62),
        )
        await stack.database.execute(
            "INSERT INTO _crossfade.unverified (collection, reason, instance) VALUES ('_system/*', 'import', 'p1')"
        )
        await stack.database.execute(
            "INSERT INTO _crossfade.mismatch (collection, fingerprint, class, keys) VALUES ($1, 'f', 'stale', '{a}')",
            BOOKS,
        )
        mirror = stack.application.mirror
        held = mirror.intend(BOOKS, ("a",))
        unnamed = mirror.intend(BOOKS, ())
        found = await trace.read(stack.settings, stack.database, BOOKS, "a")
        assert found.dead_letter is not None
        assert [mark["reason"] for mark in found.unverified] == ["import"]
        assert [one["class"] for one in found.mismatches] == ["stale"]
        collection_state = found.instances[0].known
        assert (collection_state["open"], collection_state["unkeyed"]) == (1, 1)
        assert [item["key_known"] for item in collection_state["intents"]] == [True, False]
        trace.show(found)
        output = capsys.readouterr().out
        for part in ("dead letter since", "open mismatch", "unverified since", "key not known yet"):
            assert part in output
        mirror.close_intent(held)
        mirror.close_intent(unnamed)


async def _invoke(stack: Running, *arguments: str) -> tuple[int, str]:
    env = {"CROSSFADE_DSN": stack.dsn, "CROSSFADE_ORIGIN": stack.origin.url}
    app, _ = proxy.cli.build()
    result = await asyncio.to_thread(CliRunner().invoke, app, ["trace", *arguments], env=env)
    return result.exit_code, result.stdout


async def test_the_command_prints_json_and_names_the_instances_that_did_not_answer(dsn: str, tmp_path: Path) -> None:
    async with running(dsn, tmp_path) as stack:
        await stack.client.post("/_api/collection", json={"name": "books"})
        await stack.move(CollectionState(Stage.MIRROR), BOOKS)
        await stack.client.post(DOCUMENT, json={"_key": "a"})
        await stack.drained()
        other_url = f"http://127.0.0.1:{stack.application.admin_port}"
        for name, url in (("silent", "http://127.0.0.1:1"), ("nowhere", None), ("other", other_url)):
            await stack.database.execute(
                "INSERT INTO _crossfade.instance (instance, host, pid, version, admin_url) "
                "VALUES ($1, 'h', 1, '0', $2)",
                *(name, url),
            )
        code, output = await _invoke(stack, "books/a", "--json")
        assert code == 0
        unheard = {view["instance"]: view["unheard"] for view in json.loads(output)["instances"]}
        assert unheard.pop(stack.application.instance) is None
        assert "does not answer" in unheard["silent"]
        assert "no admin address" in unheard["nowhere"]
        assert "another instance" in unheard["other"]
        code, output = await _invoke(stack, "books/a")
        assert code == 0
        assert "no answer" in output
        await stack.database.execute("DELETE FROM _crossfade.instance WHERE version = '0'")


def test_a_document_can_be_named_with_or_without_its_database() -> None:
    assert trace.parse("books/a", "shop") == ("shop/books", "a")
    assert trace.parse("x/books/a", "shop") == ("x/books", "a")
    with pytest.raises(typer.BadParameter):
        trace.parse("books", "shop")


@pytest.mark.parametrize(
    ("origin", "target", "views", "dead", "expected"),
    [
        (TracedVersion("not read: down"), TracedVersion("absent"), (), False, "unknown"),
        (TracedVersion("document", "5"), TracedVersion("absent"), (), True, "cannot hold"),
        (
            TracedVersion("document", "5"),
            TracedVersion("document", "4"),
            (InstanceView("p", None, {"open": 1}),),
            False,
            "is in progress",
        ),
        (
            TracedVersion("document", "5"),
            TracedVersion("document", "4"),
            (InstanceView("p", "away", {}),),
            False,
            "not every",
        ),
        (
            TracedVersion("absent"),
            TracedVersion("document", "4"),
            (InstanceView("p", None, {"open": 0}),),
            False,
            "nothing is in progress",
        ),
        (TracedVersion("absent"), TracedVersion("tombstone", "4"), (), False, "equal"),
    ],
)
def test_the_verdict_explains_the_difference(
    origin: TracedVersion, target: TracedVersion, views: tuple[InstanceView, ...], dead: bool, expected: str
) -> None:
    assert expected in trace.verdict(origin, target, views, dead=dead)
