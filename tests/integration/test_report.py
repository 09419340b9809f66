"""`crossfade report` with real databases: it shows the facts, and no secrets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backfill import checksum
from proxy.state import audit
from tests.ad_hoc import Database
from tests.integration.archive_fixtures import UNUSUAL_DOCUMENTS, BothDatabases, arangodb, run

NAME = "shop/carts"


@pytest.fixture
def both(dsn: str) -> Iterator[BothDatabases]:
    with arangodb() as url:
        yield BothDatabases(dsn, url)


def collection(report: Any, name: str = NAME) -> Any:
    return next(one for one in report["collections"] if one["collection"] == name)


def fill(both: BothDatabases) -> None:
    both.create(NAME)
    users = (b'{"_key":"u%d","user_id":%d}' % (n, n) for n in range(5))
    both.insert(NAME, *UNUSUAL_DOCUMENTS, *users)
    both.copy(NAME, stage="shadow")


def history(both: BothDatabases) -> None:
    """Write what a migration leaves in the control plane."""
    both.sql('CREATE TABLE "user" (id integer PRIMARY KEY)')
    both.sql('INSERT INTO "user" VALUES (0), (1), (2)')
    both.sql(
        "INSERT INTO _crossfade.run (collection, kind, mode, state, unverified_before, started_at, finished_at, result)"
        " VALUES ($1, 'backfill', 'fast', 'done', 0, now() - interval '20 s', now() - interval '10 s', '{}'),"
        " ($1, 'verify', 'full', 'done', 0, now() - interval '8 s', now() - interval '4 s', $2)",
        NAME,
        json.dumps({"checked": 12, "missing": 2, "stale": 1, "repaired": 3, "differences": 0}),
    )
    both.sql(
        "INSERT INTO _crossfade.chunk (run, number, state, documents, bytes) VALUES (1, 1, 'done', 10, 4096), "
        "(1, 2, 'done', 2, 1024)"
    )
    both.sql(
        "INSERT INTO _crossfade.mismatch (collection, fingerprint, class, paths, state, keys) VALUES "
        "($1, 'f', 'value', '{/total}', 'repaired', '{a,b}'), ($1, 'g', 'type', '{/<b>&|}', 'open', '{c}')",
        NAME,
    )
    both.sql("INSERT INTO _crossfade.dead_letter VALUES ($1, 'bad', 1, '22P05: cannot be held')", NAME)
    both.sql(
        "INSERT INTO _crossfade.uncovered (database, collection, endpoint, reason, seen) VALUES "
        "('shop', $1, 'import', 'opaque', 3), ('other', 'other/x', 'batch', 'opaque', 1)",
        NAME,
    )
    both.sql("INSERT INTO _crossfade.unverified (collection, reason, instance) VALUES ('shop/*', 'an import', 'p1')")
    moves = [{"collection": NAME, "before": {"stage": "off", "weight": 0}, "after": {"stage": "shadow", "weight": 0}}]
    both.sql(
        "INSERT INTO _crossfade.epoch (epoch, outcome, actor, reason, moves) VALUES (1, 'committed', 'ann', 'go', $1)",
        json.dumps(moves),
    )

    async def note() -> None:
        database = await Database.open(both.dsn, size=1)
        try:
            for action in ("epoch.begin", "epoch.commit"):
                async with database.transaction() as session:
                    await audit.record(session, actor="ann", action=action, reason="go")
        finally:
            await database.close()

    run(note())


def test_the_report_contains_every_fact_of_a_migration(both: BothDatabases) -> None:
    fill(both)
    history(both)
    report = both.crossfade_json("report")
    one = collection(report)
    expected = checksum.of_documents(both.documents(NAME).values())
    size = sum(map(len, both.documents(NAME).values()))
    assert (one["origin"]["documents"], one["origin"]["bytes"], one["origin"]["checksum"]) == (12, size, expected)
    assert (one["target"]["documents"], one["target"]["bytes"], one["target"]["checksum"]) == (12, size, expected)
    assert one["verdict"]["word"] == "equal"

    verified, copied = one["runs"]
    assert (copied["kind"], copied["documents"], copied["bytes"]) == ("backfill", 12, 5120)
    assert copied["documents_per_second"] == pytest.approx(1.2)
    assert (verified["checked"], verified["found"], verified["repaired"]) == (12, {"missing": 2, "stale": 1}, 3)

    assert [(found["kind"], found["state"]) for found in one["mismatches"]] == [("type", "open"), ("value", "repaired")]
    assert [(item["kind"], item["what"], item["count"]) for item in one["left_out"]] == [
        ("dead letter", "bad", 1),
        ("unverified", "an import", 1),
        ("gap", "import", 3),
    ]
    assert one["orphans"] == {"table": '"user"', "with_user": 5, "documents": 2, "users": 2, "ids": ["3", "4"]}
    assert (report["audit"]["rows"], report["audit"]["broken"]) == (2, None)
    assert report["epochs"][0]["moves"] == ["shop/carts: off -> shadow"]
    assert report["total"] == {
        "collections": 1,
        "good": 1,
        "origin": 12,
        "target": 12,
        "open_mismatches": 1,
        "repaired": 3,
        "dead_letters": 1,
        "orphans": 2,
    }
    assert report["versions"]["PostgreSQL"].split(".")[0].isdigit()
    assert report["versions"]["ArangoDB"].startswith("3.")


def test_the_report_shows_a_changed_document_and_a_changed_audit(both: BothDatabases) -> None:
    fill(both)
    history(both)
    both.sql(f"UPDATE {both.relation(NAME)} SET raw = replace(raw::text, '1e+300', '1e+301')::json WHERE key = 'huge'")
    both.sql("UPDATE _crossfade.audit SET actor = 'eve' WHERE id = 1")
    report = both.crossfade_json("report", NAME)
    assert collection(report)["verdict"]["word"] == "different"
    assert report["audit"]["broken"] == 1
    out = both.crossfade("report", "shop/*", "--format", "html")[1]
    assert "checksums differ" in out
    assert "/&lt;b&gt;&amp;|" in out, "paths are text, never markup"


def test_without_checksums_the_verdict_is_that_of_the_verification(both: BothDatabases) -> None:
    fill(both)
    history(both)
    one = collection(both.crossfade_json("report", "--no-checksums"))
    assert (one["origin"]["checksum"], one["verdict"]["word"]) == (None, "unverified")


def test_the_report_states_that_arangodb_is_unreachable(both: BothDatabases) -> None:
    fill(both)
    both.environment["CROSSFADE_ORIGIN"] = "http://127.0.0.1:9"
    report = both.crossfade_json("report")
    assert "did not answer" in collection(report)["origin"]["error"]
    assert (collection(report)["verdict"]["word"], report["versions"]["ArangoDB"]) == ("unknown", "not reached")


def test_the_file_extension_selects_the_format_and_secrets_are_masked(both: BothDatabases, tmp_path: Path) -> None:
    fill(both)
    both.environment["CROSSFADE_ORIGIN_PASSWORD"] = "hunter2"
    both.environment["CROSSFADE_SERVICES"] = '{"/x": "http://me:hunter3@127.0.0.1:1/"}'
    for name, begin in (("r.html", "<!doctype html>"), ("r.md", "# Migration report"), ("r.json", "{")):
        code, out, err = both.crossfade("report", "--to", str(tmp_path / name))
        text = (tmp_path / name).read_text()
        assert (code, out, text.startswith(begin)) == (0, "", True), err
        assert "hunter" not in text
        assert "http://me:***@127.0.0.1:1/" in text.replace("\\", "")
    assert not list(tmp_path.glob("*.partial"))


def test_unknown_collections_and_unwritable_files_are_refused(both: BothDatabases, tmp_path: Path) -> None:
    code, _, err = both.crossfade("report", "shop/none")
    assert (code, "shop/none is not known" in err) == (1, True)
    code, _, err = both.crossfade("report", "--to", str(tmp_path / "no" / "r.html"))
    assert (code, "cannot be written" in err) == (1, True)
    both.environment["CROSSFADE_DSN"] = "postgresql://crossfade@127.0.0.1:9/x"
    assert both.crossfade("report")[0] == 2
