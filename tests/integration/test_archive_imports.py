"""Imports of an archive: newer versions, refused documents, damage, dry runs."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from backfill.archive import manifest as manifests
from proxy.model.revision import decode_rev
from tests.integration.archive_export_fixtures import COUNT, NAME, both, exported, fill, handmade, wipe
from tests.integration.archive_fixtures import BothDatabases

__all__ = ["both"]  # fixtures


def part(folder: str, number: int = 1) -> Path:
    return Path(folder) / "shop" / "carts" / f"part-{number:06}.jsonl.zst"


# ---- newer versions


def test_newer_versions_stay_in_arangodb_and_older_ones_are_replaced(both: BothDatabases, tmp_path: Path) -> None:
    fill(both, 3)
    first = exported(both, tmp_path / "first")
    both.ask("PATCH", "/_db/shop/_api/document/carts/k00001", b'{"n":"newer"}')
    newer = both.documents(NAME)
    second = exported(both, tmp_path / "second")

    [summary] = both.crossfade_json("archive", "import", first, "--into", "arangodb")["collections"]
    assert (summary["complete"], summary["newer_kept"], summary["written"]) == (True, 1, 0)
    assert both.documents(NAME) == newer

    code, _, err = both.crossfade("archive", "import", first, "--into", "arangodb", "--overwrite-newer")
    assert (code, "it needs --reason" in err) == (1, True)
    [summary] = both.crossfade_json(
        "archive", "import", first, "--into", "arangodb", "--overwrite-newer", "--reason", "ticket 1", "--actor", "ann"
    )["collections"]
    assert (summary["newer_overwritten"], summary["revisions_kept"]) == (1, True)
    assert json.loads(both.documents(NAME)["k00001"])["n"] == 1
    [row] = both.sql("SELECT actor, reason FROM _crossfade.audit WHERE reason IS NOT NULL")
    assert tuple(row) == ("ann", "ticket 1")

    [summary] = both.crossfade_json("archive", "import", second, "--into", "arangodb")["collections"]
    assert (summary["written"], summary["same"]) == (1, COUNT - 298)
    assert both.documents(NAME) == newer


def test_an_import_rolls_back_flipped_collections_first(both: BothDatabases, tmp_path: Path) -> None:
    fill(both, 1)
    both.copy(NAME, stage="flipped")
    folder = exported(both, tmp_path / "archive")
    for side in ("arangodb", "postgresql"):
        code, _, err = both.crossfade("archive", "import", folder, "--into", side)
        assert (code, "`crossfade rollback shop/carts` first" in err) == (1, True)
        assert both.crossfade("archive", "import", folder, "--into", side, "--dry-run")[0] == 0


def test_newer_versions_and_deletions_stay_in_postgresql(both: BothDatabases, tmp_path: Path) -> None:
    """I4: newer versions and deletions win, unless the operator overrides that; then the mirror continues."""
    fill(both, 3)
    both.copy(NAME, stage="shadow")
    before = both.rows(NAME)
    folder = exported(both, tmp_path / "archive")
    relation = both.relation(NAME)
    both.sql(f"UPDATE {relation} SET rev = rev + 1, raw = '{{\"n\":9}}', doc = '{{\"n\":9}}' WHERE key = 'k00000'")
    both.sql(f"UPDATE {relation} SET rev = rev + 1, raw = NULL, doc = NULL, mark = 1 WHERE key = 'k00001'")
    both.sql(f"UPDATE {relation} SET raw = '{{\"n\":8}}', doc = '{{\"n\":8}}' WHERE key = 'k00002'")
    [summary] = both.crossfade_json("archive", "import", folder, "--into", "postgresql")["collections"]
    assert (summary["newer_kept"], summary["written"]) == (2, 0)
    assert both.rows(NAME)["k00000"] == b'{"n":9}'
    assert "k00001" not in both.rows(NAME)
    # marking before and after the import gives one mark: no verification started in between
    [row] = both.sql("SELECT collection, reason FROM _crossfade.unverified")
    assert (row["collection"], "was imported into postgresql" in row["reason"]) == (NAME, True)

    arguments = ("--into", "postgresql", "--overwrite-newer", "--reason", "because")
    [summary] = both.crossfade_json("archive", "import", folder, *arguments)["collections"]
    assert (summary["newer_overwritten"], summary["complete"]) == (2, True)
    assert both.rows(NAME) == before


# ---- documents that a database does not take


def test_a_document_that_postgresql_refuses_becomes_a_dead_letter(both: BothDatabases, tmp_path: Path) -> None:
    raw = b'{"_key":"%s","_id":"carts/%s","_rev":"_kNo8DHm---","n":%s}'
    folder = handmade(
        tmp_path / "archive",
        ("a", 1, raw % (b"a", b"a", b"1")),
        ("b", 2, raw % (b"b", b"b", b"1e999999")),
        ("c", 3, raw % (b"c", b"c", b'"\xff"')),
        ("d", 4, raw % (b"d", b"d", b"1")),
    )
    for more in ((), ("--overwrite-newer", "--reason", "again")):
        code, out, _ = both.crossfade("archive", "import", folder, "--into", "postgresql", *more)
        assert (code, "refused b: 22" in out, "refused c: not UTF-8" in out) == (1, True, True), out
        assert sorted(both.rows(NAME)) == ["a", "d"]
        assert [row["key"] for row in both.sql("SELECT key FROM _crossfade.dead_letter ORDER BY key")] == ["b", "c"]


def test_a_document_that_arangodb_refuses_is_reported_and_skipped(both: BothDatabases, tmp_path: Path) -> None:
    raw = b'{"_key":"%s","_id":"carts/%s","_rev":"_kNo8DHm---","n":%s}'
    unique = {"type": "persistent", "unique": True, "fields": ["n"], "name": "one_n"}
    folder = handmade(
        tmp_path / "archive",
        ("a", decode_rev("_kNo8DHm---"), raw % (b"a", b"a", b"1")),
        ("b", 2, raw % (b"b", b"b", b'"\\ud800"')),
        ("c", 3, raw % (b"c", b"c", b"2")),
        ("d", 4, raw % (b"d", b"d", b"2")),
        indexes=(unique, {"type": "odd", "name": "odd", "fields": ["x"]}),
    )
    both.create(NAME)
    both.ask("POST", "/_db/shop/_api/index?collection=carts", json.dumps(unique).encode())
    code, out, _ = both.crossfade("archive", "import", folder, "--into", "arangodb")
    assert (code, "refused b: " in out, "refused d: 1210" in out, "index odd was not created" in out) == (1,) + (
        True,
    ) * 3
    assert sorted(both.documents(NAME)) == ["a", "c"]


# ---- damage


def test_damage_is_reported_by_file_line_and_key_and_never_imported(both: BothDatabases, tmp_path: Path) -> None:
    both.create(NAME)
    both.insert(NAME, *(b'{"_key":"k%05d","pad":"%s"}' % (n, b"%x" % (n**40)) for n in range(30_000)))
    both.crossfade("archive", "export", NAME, "--to", str(tmp_path / "a"), "--part-size", "1")
    folder = str(tmp_path / "a")
    entry = manifests.read(Path(folder)).collections[0]
    assert len(entry.parts) > 2
    data = bytearray(part(folder, 2).read_bytes())
    data[len(data) // 2] ^= 0xFF
    part(folder, 2).write_bytes(data)

    summary = both.crossfade_json("archive", "verify", folder)
    damage = summary["collections"][0]["damages"][0]
    second = entry.parts[1]
    assert (summary["right"], damage["file"]) == (False, second.file)
    assert 1 < damage["line"] <= second.documents
    assert second.first < damage["key"] <= second.last
    assert damage["key"] == f"k{int(second.first[1:]) + damage['line'] - 1:05}"
    assert both.crossfade("archive", "verify", folder)[0] == 1

    wipe(both, "arangodb")
    code, out, _ = both.crossfade("archive", "import", folder, "--into", "arangodb")
    assert (code, "damaged, its part was skipped: shop/carts/part-000002" in out) == (1, True)
    assert len(both.documents(NAME)) == entry.documents - second.documents


def test_differences_from_a_database_are_reported_by_key(both: BothDatabases, tmp_path: Path) -> None:
    fill(both, 3)
    both.copy(NAME)
    folder = exported(both, tmp_path / "archive")
    relation = both.relation(NAME)
    both.sql(f"DELETE FROM {relation} WHERE key = 'k00000'")
    both.sql(f"UPDATE {relation} SET raw = '{{}}', doc = '{{}}' WHERE key = 'k00001'")
    both.sql(f"INSERT INTO {relation} VALUES ('zz', 1, '{{}}', '{{}}', 0)")
    code, out, _ = both.crossfade("archive", "verify", folder, "--against", "postgresql")
    assert (code, "missing in the database 1, extra 1, different 1" in out) == (1, True)
    assert [line.strip() for line in out.splitlines()[1:]] == ["missing: k00000", "different: k00001", "extra: zz"]
    [summary] = both.crossfade_json("archive", "verify", folder, "--against", "postgresql")["collections"]
    assert (summary["missing"], summary["keys"][0]) == (1, {"key": "k00000", "class": "missing"})


# ---- refusals


def test_error_messages_state_what_to_do(both: BothDatabases, tmp_path: Path) -> None:
    fill(both, 1)
    both.copy(NAME)
    folder = exported(both, tmp_path / "archive")
    for arguments, sentence in (
        (("export", "shop/none", "--to", folder), "there is no collection shop/none"),
        (("export", "none/*", "--to", folder), "not found"),
        (("export", "shop/x*", "--to", folder), "there is no collection shop/x*"),
        (("export", "shop/none", "--to", folder + "2", "--from", "postgresql"), "there is no collection shop/none"),
        (("export", NAME, "--to", folder, "--from", "postgresql"), "choose another folder"),
        (("verify", str(tmp_path / "nothing")), "is not an archive"),
        (("verify", folder, "shop/none"), "the archive has no shop/none: it has shop/carts"),
        (("import", folder, "shop/none", "--into", "arangodb"), "the archive has no shop/none"),
        (("export", NAME, "--to", "/proc/none"), "cannot be written"),
    ):
        code, _, err = both.crossfade("archive", *arguments)
        assert (code, sentence in err) == (1, True), (arguments, err)


def test_dry_runs_and_repetitions_change_nothing(both: BothDatabases, tmp_path: Path) -> None:
    fill(both, 3)
    folder = str(tmp_path / "archive")
    out = both.crossfade("archive", "export", "shop/*", "--to", folder, "--dry-run")[1]
    assert out == "shop/carts: 10 documents, 0 in the archive: to do\n"
    assert not Path(folder).exists()
    exported(both, Path(folder))
    before = part(folder).stat().st_mtime_ns
    [summary] = both.crossfade_json("archive", "export", NAME, "--to", folder, "--dry-run")
    assert (summary["state"], summary["archived"]) == ("complete", 10)
    summary = both.crossfade_json("archive", "export", NAME, "--to", folder)
    assert (summary["complete"], part(folder).stat().st_mtime_ns) == (True, before)
    out = both.crossfade("archive", "import", folder, "--into", "postgresql", "--dry-run")[1]
    assert "10 documents: 10 would be written" in out
    assert both.sql("SELECT 1 FROM _crossfade.collection") == []


def test_an_import_into_arangodb_needs_no_postgresql(both: BothDatabases, tmp_path: Path) -> None:
    fill(both, 3)
    before = both.documents(NAME)
    folder = exported(both, tmp_path / "archive")
    wipe(both, "arangodb")
    both.dsn = "postgresql://crossfade@127.0.0.1:9/x"
    code, _, err = both.crossfade("archive", "import", folder, "--into", "arangodb")
    assert (code, "neither audited nor are collections marked" in err) == (0, True)
    assert both.documents(NAME) == before
    assert both.crossfade("archive", "import", folder, "--into", "postgresql")[0] == 2
    both.origin = "http://127.0.0.1:9"
    assert "Cannot connect to ArangoDB" in both.crossfade("archive", "export", NAME, "--to", folder)[2]


def test_a_second_export_into_one_folder_is_refused(both: BothDatabases, tmp_path: Path) -> None:
    from backfill.archive.storage import locked

    fill(both, 1)
    with locked(tmp_path):
        code, _, err = both.crossfade("archive", "export", NAME, "--to", str(tmp_path))
    assert (code, "another export writes into" in err) == (1, True)


async def test_postgresql_pages_are_bounded_by_their_bytes(dsn: str) -> None:
    """Pages have one or two incompressible documents of a megabyte, whatever the requested limit."""
    import os

    from backfill.archive.sources import FromPostgres
    from tests.ad_hoc import Database

    database = await Database.open(dsn, size=1)
    try:
        await database.execute("SELECT _crossfade.ensure_collection('shop', 'carts')")
        for number in range(5):
            raw = json.dumps({"_key": str(number), "pad": os.urandom(500_000).hex()})
            await database.execute(
                "INSERT INTO shop.carts (key, rev, raw, doc) VALUES ($1, 1, $2::text::json, '{}')", str(number), raw
            )
        store = FromPostgres(database, dsn)
        seen, after = [], ""
        while not (page := await store.page(NAME, after, 1000)).last:
            assert len(page.documents) <= 3
            seen += [document.key for document in page.documents]
            after = seen[-1]
        assert seen == list("01234")
    finally:
        await database.close()
        await asyncio.sleep(0)
