"""Steps of exports and imports: ends of parts, stops, retries."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from backfill.archive import import_
from backfill.archive import manifest as manifests
from backfill.archive.cli_output import volume
from backfill.archive.export import Export, ExportOptions, pieces
from backfill.archive.import_ import Import, batches, sort
from backfill.archive.manifest import ArchiveOrigin, CollectionEntry
from backfill.archive.progress import ExportBars, ExportLines, Silent, shown
from backfill.archive.sources import Described, Pages, address
from backfill.archive.storage import ArchiveError
from backfill.archive.targets import TargetResult
from backfill.archive.verify import VerifiedCollection, check, compare
from backfill.origin_pages import Document
from proxy.base.errors import CrossfadeError, DatabaseUnavailable, StatementError

NAME = "db/c"


def document(number: int, rev: int = 5, size: int = 20) -> Document:
    return Document(f"{number:03}", rev, b'{"_key":"%03d","pad":"%s"}' % (number, b"x" * size))


@dataclass
class Listed:
    """A store in memory with pages of ten documents. stop: set with page number `stop_after`."""

    documents: list[Document]
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    stop_after: int = -1
    asked: int = 0

    async def origin(self) -> ArchiveOrigin:
        return ArchiveOrigin(kind="arangodb", at="here", version="3.12.4")

    async def collections(self, pattern: str) -> list[str]:
        return [NAME]

    async def describe(self, collection: str) -> Described:
        return Described(False, {}, ())

    async def count(self, collection: str) -> int:
        return len(self.documents)

    async def page(self, collection: str, after: str, limit: int) -> Pages:
        self.asked += 1
        if self.asked == self.stop_after:
            self.stop.set()
        found = [one for one in self.documents if one.key > after][:10]
        return Pages(found, len(found) < 10, 10)


@dataclass
class Kept:
    """A target in memory. fails: errors to raise first; stop: set after `stop_after` writes."""

    documents: dict[str, Document] = field(default_factory=dict)
    fails: list[CrossfadeError] = field(default_factory=list)
    keeps_revisions: bool | None = True
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    stop_after: int = -1

    async def prepare(self, entry: CollectionEntry) -> None:
        if self.fails:
            raise self.fails.pop()

    async def revisions(self, collection: str, keys: Sequence[str]) -> dict[str, int]:
        return {key: self.documents[key].rev for key in keys if key in self.documents}

    async def write(
        self, collection: str, new: Sequence[Document], older: Sequence[tuple[Document, int]]
    ) -> TargetResult:
        if self.fails:
            raise self.fails.pop()
        found = [*new, *(one for one, _ in older)]
        self.documents |= {one.key: one for one in found}
        self.stop_after -= 1
        if self.stop_after == 0:
            self.stop.set()
        return TargetResult(len(found))

    async def overwrite(self, collection: str, documents: Sequence[Document]) -> TargetResult:
        self.documents |= {one.key: one for one in documents}
        return TargetResult(len(documents))

    async def finish(self, entry: CollectionEntry) -> list[str]:
        return ["an index was not created"]


async def export(root: Path, store: Listed, part_bytes: int = 1000) -> CollectionEntry:
    root.mkdir(exist_ok=True)
    manifest = await Export(store, root, Silent(), store.stop, ExportOptions(part_bytes)).run([NAME])
    entry = manifest.entry(NAME)
    assert entry is not None
    return entry


async def test_a_stopped_export_finishes_its_part_and_continues(tmp_path: Path) -> None:
    """After SIGTERM every document that was read is in a part."""
    store = Listed([document(n) for n in range(100)], stop_after=3)
    half = await export(tmp_path, store, 700)
    assert (half.state, half.documents, half.finished_at) == ("open", 30, None)
    found = await check(tmp_path, half, Silent(), asyncio.Event())
    assert (found.right, found.damaged) == (False, 0)
    store.stop.clear()
    complete = await export(tmp_path, store, 700)
    assert (complete.state, complete.documents, complete.parts[: len(half.parts)]) == ("done", 100, half.parts)
    assert (await check(tmp_path, complete, Silent(), asyncio.Event())).right
    store.stop.set()
    assert not (await check(tmp_path, complete, Silent(), store.stop)).complete


async def test_an_empty_collection_has_no_part(tmp_path: Path) -> None:
    entry = await export(tmp_path, Listed([]))
    assert (entry.state, entry.parts) == ("done", ())
    [imported] = await Import(tmp_path, Kept(), Silent(), asyncio.Event()).run([entry])
    assert imported.complete


async def test_collections_after_the_stop_are_skipped(tmp_path: Path) -> None:
    store = Listed([document(1)])
    store.stop.set()
    manifest = await Export(store, tmp_path, Silent(), store.stop).run([NAME])
    assert manifest.collections == ()


async def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "db").write_text("a file")
    with pytest.raises(ArchiveError, match="cannot be written"):
        await export(tmp_path, Listed([document(1)]))


async def test_a_full_disk_leaves_no_partial_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("backfill.archive.writer.PartWriter.add", full)
    with pytest.raises(ArchiveError, match="No space left"):
        await export(tmp_path, Listed([document(1)]))
    assert list((tmp_path / "db" / "c").iterdir()) == []
    assert manifests.read(tmp_path).collections[0].state == "open"


def test_a_part_ends_between_two_documents() -> None:
    documents = [document(n, size=100) for n in range(5)]
    size = len(documents[0].raw)
    assert [len(piece) for piece in pieces(documents, 2 * size)] == [2, 2, 1]
    assert [len(piece) for piece in pieces(documents, 1)] == [1] * 5
    assert pieces([], 10) == []
    assert [len(page) for page in batches(iter(documents), most=2)] == [2, 2, 1]
    assert [len(page) for page in batches(iter(documents), size=3 * size)] == [3, 2]


def test_documents_are_sorted_by_present_versions() -> None:
    page = [document(n, rev=5) for n in range(4)]
    found = sort(page, {"001": 4, "002": 5, "003": 6})
    assert [one.key for one in found.new] == ["000"]
    assert [(one.key, stored) for one, stored in found.older] == [("001", 4)]
    assert ([one.key for one in found.same], [one.key for one in found.newer]) == (["002"], ["003"])


async def test_an_unavailable_target_is_retried(tmp_path: Path) -> None:
    entry = await export(tmp_path, Listed([document(n) for n in range(25)]))
    target = Kept(fails=[DatabaseUnavailable("restarting"), StatementError("deadlock", "40P01")])
    [imported] = await Import(tmp_path, target, Silent(), asyncio.Event()).run([entry])
    assert (imported.complete, len(target.documents), imported.notes) == (True, 25, ("an index was not created",))
    target = Kept(fails=[StatementError("no such table", "42P01")])
    with pytest.raises(StatementError, match="no such table"):
        await Import(tmp_path, target, Silent(), asyncio.Event()).run([entry])
    target = Kept(fails=[DatabaseUnavailable("gone")])
    with pytest.raises(DatabaseUnavailable, match="gone"):
        await Import(tmp_path, target, Silent(), asyncio.Event(), import_.ImportOptions(retry_seconds=0)).run([entry])


async def test_a_stopped_import_continues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_.batches, "__defaults__", (10, 1 << 20))
    entry = await export(tmp_path, Listed([document(n) for n in range(45)]))
    target = Kept(stop_after=2)
    [imported] = await Import(tmp_path, target, Silent(), target.stop).run([entry, entry])
    assert (imported.done, imported.written) == (False, 20)
    target.stop.clear()
    [imported] = await Import(tmp_path, target, Silent(), target.stop).run([entry])
    assert (imported.complete, imported.written, imported.same) == (True, 25, 20)


async def test_dry_runs_and_overwriting_are_counted(tmp_path: Path) -> None:
    entry = await export(tmp_path, Listed([document(n, rev=5) for n in range(4)]))
    present = {"001": document(1, rev=4), "002": document(2, rev=5), "003": document(3, rev=6)}
    for dry in (True, False):
        target = Kept(dict(present))
        options = import_.ImportOptions(overwrite=True, dry_run=dry)
        [imported] = await Import(tmp_path, target, Silent(), asyncio.Event(), options).run([entry])
        assert (imported.written, imported.same, imported.newer, imported.overwritten) == (2, 1, 0, 1)
        assert (target.documents == present) is dry


async def test_comparing_stops_and_takes_pages_of_any_size(tmp_path: Path) -> None:
    ours = [document(n) for n in range(0, 40, 2)]
    entry = await export(tmp_path, Listed(ours), 200)
    theirs = Listed([document(n) for n in range(0, 40, 3)])
    blank = VerifiedCollection(NAME, complete=True)
    found = await compare(tmp_path, entry, theirs, blank, Silent(), asyncio.Event())
    assert (found.missing, found.extra, found.different) == (13, 7, 0)
    theirs.stop.set()
    assert not (await compare(tmp_path, entry, theirs, blank, Silent(), theirs.stop)).complete


def test_progress_in_a_terminal_and_in_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(file=StringIO(), force_terminal=True, width=120)
    with ExportBars(console, "export") as bars:
        bars.show(NAME, 5, 2048, 10)
        bars.show(NAME, 10, 4096, 10)
    assert "export db/c" in console.file.getvalue()  # type: ignore[attr-defined]
    now = iter([0.0, 1.0, 6.0])
    console = Console(file=StringIO(), width=120)
    lines = ExportLines(console, "import", clock=lambda: next(now))
    lines.show(NAME, 1, 10, 10)
    lines.show(NAME, 2000, 3 << 30, 10_000)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert text == "import db/c: 2,000 of about 10,000 documents, 400/s, 3.0 GiB\n"
    with shown("x", quiet=True) as silent, shown("x", quiet=False) as plain:
        assert (type(silent), type(plain)) == (Silent, ExportLines)
        silent.show(NAME, 1, 1, 1)
    assert volume(5 * 2**40) == "5.0 TiB"


@pytest.mark.parametrize(
    ("url", "at"),
    [("postgresql://u:p@h:5432/x?password=y", "h:5432/x"), ("http://h:1/", "h:1")],
)
def test_addresses_have_no_accounts(url: str, at: str) -> None:
    assert address(url) == at
