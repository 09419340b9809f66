"""The manifest of an archive: its content, its damages."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from backfill import checksum
from backfill.archive import manifest as manifests
from backfill.archive.manifest import ArchiveManifest, ArchiveOrigin, CollectionEntry, Part
from backfill.archive.storage import ArchiveError, folder_name, inside, locked

SOURCE = ArchiveOrigin(kind="arangodb", at="h:8529", version="3.12.4")


def part(number: int) -> Part:
    return Part(
        file=f"db/c/part-{number:06}.jsonl.zst",
        documents=2,
        bytes=10,
        compressed=5,
        sha256="00",
        sums=f"db/c/part-{number:06}.sums.zst",
        sums_sha256="00",
        digest=f"{number:064x}",
        first=f"{number}a",
        last=f"{number}z",
    )


def sample() -> ArchiveManifest:
    entry = CollectionEntry(
        collection="db/c", edge=True, started_at="t", parts=(part(1), part(2)), properties={"type": 3}
    )
    return manifests.new(SOURCE, "0.1.0", "2026-01-01T00:00:00Z").with_entry(entry)


def test_it_is_read_back_and_includes_totals(tmp_path: Path) -> None:
    manifests.write(tmp_path, sample())
    found = manifests.read(tmp_path)
    assert (found, manifests.exists(tmp_path)) == (manifests.read(tmp_path), True)
    [entry] = found.collections
    assert (entry.documents, entry.bytes, entry.compressed, entry.position) == (4, 20, 10, "2z")
    assert entry.digest == checksum.add([f"{1:064x}", f"{2:064x}"]) == f"{3:064x}"
    written = json.loads((tmp_path / "manifest.json").read_text())
    assert (written["format"], written["version"], written["collections"][0]["documents"]) == (
        "crossfade-archive",
        1,
        4,
    )


def test_entries_are_replaced() -> None:
    manifest = sample()
    entry = manifest.entry("db/c")
    assert entry is not None
    assert manifest.with_entry(entry) == manifest
    assert manifest.entry("db/other") is None
    assert CollectionEntry(collection="db/d", edge=False, started_at="t").position == ""


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('"documents": 4', '"documents": 5', "its checksum does not match its content"),
        ('"first": "1a"', '"first": "1b"', "its checksum does not match its content"),
        ('"version": 1', '"version": 2', "is of version 2"),
        ("crossfade-archive", "other", "is not the manifest"),
        ("{", "", "is damaged"),
    ],
)
def test_damage(tmp_path: Path, old: str, new: str, why: str) -> None:
    manifests.write(tmp_path, sample())
    path = tmp_path / "manifest.json"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(ArchiveError, match=why):
        manifests.read(tmp_path)


def resigned(path: Path, change: dict[str, object]) -> None:
    """Change the manifest and compute its checksum again, like a faulty program."""
    values = json.loads(path.read_text())
    values["collections"][0].update(change)
    values["checksum"] = manifests._checksum(values)
    path.write_text(json.dumps(values))


def test_inconsistent_manifests_are_damaged(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    manifests.write(tmp_path, sample())
    resigned(path, {"documents": 5})
    with pytest.raises(ArchiveError, match="totals of db/c"):
        manifests.read(tmp_path)
    resigned(path, {"state": "odd"})
    with pytest.raises(ArchiveError, match="is damaged"):
        manifests.read(tmp_path)


def test_a_folder_without_an_archive(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="is not an archive"):
        manifests.read(tmp_path)
    with pytest.raises(ArchiveError, match="cannot be written"):
        manifests.write(tmp_path / "none", sample())


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "a/../../x", ""])
def test_no_file_outside_of_the_folder_is_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(ArchiveError, match="not inside the archive"):
        inside(tmp_path, name)


def test_names_of_folders() -> None:
    assert folder_name("shop/carts") == "shop/carts"
    assert folder_name("../..") == "%2E%2E/%2E%2E"
    assert folder_name("ünï/a:b") == "%C3%BCn%C3%AF/a%3Ab"


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    with locked(tmp_path / "a"), pytest.raises(ArchiveError, match="another export"), locked(tmp_path / "a"):
        pass
    with locked(tmp_path / "a"):
        pass


def test_digests() -> None:
    assert checksum.of_documents([]) == checksum.EMPTY == checksum.of_words([0] * 8)
    words = [1, 2, 3, 4, 5, 6, 7, 2**32 + 8]
    assert checksum.of_words(words) == "0000000100000002000000030000000400000005000000060000000800000008"
    assert checksum.text(2**256 + 5) == f"{5:064x}"
