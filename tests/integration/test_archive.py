"""Archives with real databases: round trips, interrupted commands, damage."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from backfill.archive import manifest as manifests
from proxy.model.revision import decode_rev, encode_rev
from tests.integration.archive_export_fixtures import COUNT, NAME, both, exported, fill, handmade, wipe
from tests.integration.archive_fixtures import BothDatabases, arangodb

__all__ = ["both"]  # fixtures
OLD = decode_rev("_kNo8DHm---")


# ---- the rollback of last resort


@pytest.mark.parametrize("side", ["arangodb", "postgresql"])
def test_an_import_of_an_export_restores_a_wiped_database(both: BothDatabases, tmp_path: Path, side: str) -> None:
    """An emptied database gets every document back, byte for byte, with its revision."""
    fill(both)
    both.copy(NAME)
    before = both.documents(NAME)
    assert both.rows(NAME) == before
    folder = exported(both, tmp_path / "archive", side=side)
    code, out, _ = both.crossfade("archive", "verify", folder, "--against", side)
    assert (code, f"{COUNT} documents in 1 part," in out) == (0, True)

    wipe(both, side)
    code, out, err = both.crossfade("archive", "import", folder, "--into", side)
    assert (code, f"{COUNT} documents: {COUNT} written, 0 there already" in out) == (0, True), out + err

    assert both.documents(NAME) == before
    assert both.rows(NAME) == before
    code, out, _ = both.crossfade("archive", "verify", folder, "--against", side)
    assert (code, "missing in the database 0, extra 0, different 0" in out) == (0, True), out


def test_an_export_of_postgresql_is_imported_into_arangodb(both: BothDatabases, tmp_path: Path) -> None:
    fill(both)
    both.copy(NAME)
    folder = exported(both, tmp_path / "archive", side="postgresql")
    wipe(both, "arangodb")
    assert both.crossfade("archive", "import", folder, "--into", "arangodb")[0] == 0
    assert both.documents(NAME) == both.rows(NAME)


def test_edges_indexes_and_schema_are_restored(both: BothDatabases, tmp_path: Path) -> None:
    both.create("shop/knows", edge=True)
    both.insert("shop/knows", b'{"_key":"1","_from":"a/1","_to":"a/2","since":3}')
    both.ask(
        "POST", "/_db/shop/_api/index?collection=knows", b'{"type":"persistent","fields":["since"],"name":"by_since"}'
    )
    schema = {"rule": {"properties": {"since": {"type": "number"}}}, "level": "new", "message": "no"}
    both.ask("PUT", "/_db/shop/_api/collection/knows/properties", json.dumps({"schema": schema}).encode())
    before = both.documents("shop/knows")
    folder = exported(both, tmp_path / "archive", "shop/*")

    wipe(both, "arangodb")
    summary = both.crossfade_json("archive", "import", folder, "--into", "arangodb")
    assert summary["collections"][0]["notes"] == []
    assert both.documents("shop/knows") == before
    properties = both.ask("GET", "/_db/shop/_api/collection/knows/properties")
    assert (properties["type"], properties["schema"]["level"]) == (3, "new")
    indexes = both.ask("GET", "/_db/shop/_api/index?collection=knows")["indexes"]
    assert "by_since" in [index["name"] for index in indexes]

    assert both.crossfade("archive", "import", folder, "--into", "postgresql")[0] == 0
    assert both.rows("shop/knows") == before
    [row] = both.sql(f"SELECT from_id, to_id FROM {both.relation('shop/knows')}")
    assert tuple(row) == ("a/1", "a/2")


def test_an_import_reports_a_server_that_does_not_keep_revisions(both: BothDatabases, tmp_path: Path) -> None:
    fill(both, 3)
    before = both.documents(NAME)
    folder = exported(both, tmp_path / "archive")
    with arangodb(restores=False) as url:
        other = BothDatabases(both.dsn, url)
        code, out, _ = other.crossfade("archive", "import", folder, "--into", "arangodb")
        assert (code, "revisions are new: this server does not keep those of the archive" in out) == (0, True)
        after = {key: json.loads(raw) for key, raw in other.documents(NAME).items()}
    revisions = {key: document.pop("_rev") for key, document in after.items()}
    expected = {key: json.loads(raw) for key, raw in before.items()}
    assert all(decode_rev(revisions[key]) > decode_rev(document.pop("_rev")) for key, document in expected.items())
    assert after == expected


def test_unusual_documents_survive_an_import_into_postgresql(both: BothDatabases, tmp_path: Path) -> None:
    """Old data: lone surrogates, control characters, numbers that doubles cannot represent, unusual blanks."""
    values = [rb'"\ud800 \udfff\ud800"', rb'{"\ud800":[null]}', rb'"a\u0000b"', b"[-0,-0.0,0]", b"9223372036854775808",
              b"9007199254740993", b"1e300", b"1.0", b'{ "a" : 1 }', '"\ufdd0\u2028"'.encode()]  # fmt: skip
    documents = [
        (f"{n:02}", OLD + n, b'{"_key":"%02d","_rev":"%s","v":%s}' % (n, encode_rev(OLD + n).encode(), value))
        for n, value in enumerate(values)
    ]
    folder = handmade(tmp_path / "first", *documents)
    assert both.crossfade("archive", "import", folder, "--into", "postgresql")[0] == 0
    assert list(both.rows(NAME).values()) == [raw for _, _, raw in documents]
    second_export = exported(both, tmp_path / "second", side="postgresql")
    first, second = (manifests.read(Path(one)).collections[0] for one in (folder, second_export))
    assert (first.digest, first.parts[0].sha256) == (second.digest, second.parts[0].sha256)


# ---- cut short

_EXPORT_UNTIL_KILLED = """
import asyncio, sys
from pathlib import Path
from backfill.origin_pages import Document
from backfill.archive.export import Export, ExportOptions
from backfill.archive.manifest import ArchiveOrigin
from backfill.archive.progress import Silent
from backfill.archive.storage import locked
from backfill.archive.sources import Described, Pages

class Slow:
    async def origin(self): return ArchiveOrigin(kind="arangodb", at=sys.argv[2], version="3")
    async def describe(self, collection): return Described(False, {}, ())
    async def count(self, collection): return 1000
    async def page(self, collection, after, limit):
        first = int(after or "0") + 1
        if first > int(sys.argv[3]):
            print("waiting", flush=True)
            await asyncio.sleep(3600)
        few = [Document(f"{n:06}", n, b'{"_key":"%06d","_rev":"-","pad":"%s"}' % (n, b"x" * 100)) for n in range(first, first + 10)]
        return Pages(few if first < 1000 else [], first >= 1000, 10)

with locked(Path(sys.argv[1])):
    asyncio.run(Export(Slow(), Path(sys.argv[1]), Silent(), asyncio.Event(), ExportOptions(part_bytes=3000)).run(["a/b"]))
"""  # noqa: E501 - a program in a string


def test_a_killed_export_continues_at_the_unfinished_part(tmp_path: Path) -> None:
    """SIGKILL with a part half written: finished parts stay as they are, the unfinished one is written again."""
    folder = tmp_path / "archive"

    def start(until: int) -> subprocess.Popen[str]:
        arguments = [sys.executable, "-c", _EXPORT_UNTIL_KILLED, str(folder), "here", str(until)]
        return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)

    with start(515) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(signal.SIGKILL)
    half = manifests.read(folder).collections[0]
    assert (half.state, half.documents) == ("open", 510)
    assert list((folder / "a" / "b").glob("*.partial")), "the part that was being written"
    inodes = {path.name: path.stat().st_ino for path in (folder / "a" / "b").glob("*.zst")}

    with start(10_000) as process:
        assert process.wait() == 0
    manifest = manifests.read(folder).collections[0]
    assert (manifest.state, manifest.documents, manifest.parts[: len(half.parts)]) == ("done", 1000, half.parts)
    assert inodes.items() <= {path.name: path.stat().st_ino for path in (folder / "a" / "b").glob("*.zst")}.items()
    assert not list((folder / "a" / "b").glob("*.partial"))
    assert [later.first for later in manifest.parts[1:]] > [earlier.last for earlier in manifest.parts[:-1]]


@pytest.mark.parametrize("side", ["arangodb", "postgresql"])
def test_a_repeated_import_writes_only_what_the_target_lacks(both: BothDatabases, tmp_path: Path, side: str) -> None:
    """An import keeps no state: a target that was emptied meanwhile gets every document again."""
    fill(both)
    both.copy(NAME)
    folder = exported(both, tmp_path / "archive")
    before = both.documents(NAME)
    if side == "arangodb":
        both.ask(
            "POST",
            "/_db/shop/_api/cursor",
            b'{"query":"FOR d IN carts FILTER d.pad != null AND d.n >= 100 REMOVE d IN carts"}',
        )
    else:
        both.sql(f"DELETE FROM {both.relation(NAME)} WHERE key BETWEEN 'k00100' AND 'k99999'")
    [summary] = both.crossfade_json("archive", "import", folder, "--into", side, "--dry-run")["collections"]
    assert (summary["written"], summary["same"]) == (200, COUNT - 200)
    [summary] = both.crossfade_json("archive", "import", folder, "--into", side)["collections"]
    assert (summary["complete"], summary["written"], summary["same"]) == (True, 200, COUNT - 200)
    assert (both.documents(NAME) if side == "arangodb" else both.rows(NAME)) == before
