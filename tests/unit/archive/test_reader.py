"""Parts of an archive: writing and reading them; each kind of damage is reported by file, line and key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from backfill import checksum
from backfill.archive import reader
from backfill.archive.manifest import Part
from backfill.archive.reader import PartDamage
from backfill.archive.storage import ArchiveError
from backfill.archive.writer import PartWriter
from backfill.origin_pages import Document

RAWS = [b'{"_key":"%c","pad":"%s"}' % (97 + n, bytes([48 + n]) * 40) for n in range(6)]
DATA, SUMS = "db/c/part-000001.jsonl.zst", "db/c/part-000001.sums.zst"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "db" / "c").mkdir(parents=True)
    return tmp_path


def write(root: Path, raws: list[bytes] | None = None) -> Part:
    writer = PartWriter(root, "db/c", 1)
    documents = [Document(chr(97 + n), n + 1, raw) for n, raw in enumerate(raws or RAWS)]
    writer.add(documents[:3])
    writer.add(documents[3:])
    writer.add([])
    return writer.finish()


def recompress(path: Path, change: Callable[[bytes], bytes]) -> None:
    """Change the content of a file and compress it again, as an editor would."""
    content = zstandard.ZstdDecompressor().decompressobj().decompress(path.read_bytes())
    path.write_bytes(zstandard.ZstdCompressor().compress(change(content)))


def test_what_was_written_is_read(root: Path) -> None:
    part = write(root)
    assert [found.raw for found in reader.documents(root, part)] == RAWS
    assert [(found.key, found.rev) for found in reader.sums(root, part)] == [(chr(97 + n), n + 1) for n in range(6)]
    assert (part.documents, part.bytes, part.first, part.last) == (6, sum(map(len, RAWS)), "a", "f")
    assert part.digest == checksum.of_documents(reversed(RAWS)), "the order does not matter"
    assert reader.check(root, part) == reader.Checked(6, part.bytes, 0, ())


def test_one_document_is_one_line(root: Path) -> None:
    writer = PartWriter(root, "db/c", 1)
    writer.add([Document("a", 1, b'{\n"n":\r\n1}')])
    part = writer.finish()
    assert (writer.respaced, [found.raw for found in reader.documents(root, part)]) == (1, [b'{ "n":  1}'])


def test_a_writer_that_is_abandoned_leaves_no_trace(root: Path) -> None:
    writer = PartWriter(root, "db/c", 1)
    writer.add([Document("a", 1, b"{}")])
    writer.abandon()
    assert list((root / "db" / "c").iterdir()) == []


def damages(root: Path, part: Part) -> list[PartDamage]:
    return list(reader.check(root, part).damages)


def test_a_changed_line(root: Path) -> None:
    part = write(root)
    recompress(root / DATA, lambda content: content.replace(b"3333", b"3334", 1))
    assert damages(root, part) == [PartDamage(DATA, "the document differs from what was written", 4, "d")]
    assert str(damages(root, part)[0]) == f"{DATA}, line 4, key d: the document differs from what was written"


def test_a_removed_line(root: Path) -> None:
    part = write(root)
    recompress(root / DATA, lambda content: content.replace(RAWS[1] + b"\n", b""))
    found = damages(root, part)
    assert (found[0].line, found[0].key) == (2, "b")
    assert (found[-1].line, found[-1].key) == (6, "f")


def test_a_truncated_file(root: Path) -> None:
    part = write(root)
    recompress(root / DATA, lambda content: content[: content.index(RAWS[4]) + 5])
    [found] = damages(root, part)
    assert (found.line, found.key, "cut short" in found.reason) == (5, "e", True)
    part = write(root)
    recompress(root / DATA, lambda content: content[: content.index(RAWS[4])])
    [found] = damages(root, part)
    assert (found.line, found.key, "ends here" in found.reason) == (5, "e", True)
    part = write(root)
    (root / DATA).write_bytes((root / DATA).read_bytes()[:-20])
    assert damages(root, part)[0].line is not None


def test_bytes_that_are_not_zstandard(root: Path) -> None:
    part = write(root)
    (root / DATA).write_bytes(b"nothing of the kind")
    [found] = damages(root, part)
    assert (found.line, found.key, "cannot be decompressed" in found.reason) == (1, "a", True)


def test_bytes_after_the_end(root: Path) -> None:
    part = write(root)
    with (root / DATA).open("ab") as file:
        file.write(zstandard.ZstdCompressor().compress(b""))
    [found] = damages(root, part)
    assert (found.line, "although every line is intact" in found.reason) == (None, True)


def test_files_that_are_missing(root: Path) -> None:
    part = write(root)
    (root / SUMS).unlink()
    assert [str(found) for found in damages(root, part)] == [f"{SUMS}: the file is missing"]
    (root / DATA).unlink()
    assert "cannot be read: No such file" in str(damages(root, part)[1])
    with pytest.raises(ArchiveError, match="cannot be read"):
        list(reader.documents(root, part))


def test_checksums_that_are_damaged(root: Path) -> None:
    part = write(root)
    recompress(root / SUMS, lambda content: content.replace(b" 4 d", b" x d"))
    assert [found.file for found in damages(root, part)] == [SUMS]
    with pytest.raises(ArchiveError, match="changed while it was read"):
        list(reader.documents(root, part))


def test_consistent_changes_of_a_part_differ_from_the_manifest(root: Path) -> None:
    """A part and its line checksums were both changed: only the manifest reveals it."""
    part = write(root)
    other = write(root, [RAWS[0], *RAWS[2:]])
    assert "it has 5 documents" in str(damages(root, forged(part, other))[0])
    other = write(root, [*RAWS[:5], RAWS[5].replace(b"5", b"6")])
    assert "differs from the manifest" in str(damages(root, forged(part, other))[0])


def forged(part: Part, other: Part) -> Part:
    return Part(
        file=part.file,
        documents=part.documents,
        bytes=part.bytes,
        compressed=part.compressed,
        sha256=part.sha256,
        sums=part.sums,
        sums_sha256=other.sums_sha256,
        digest=part.digest,
        first=part.first,
        last=part.last,
    )


def test_keys_that_are_not_in_order(root: Path) -> None:
    writer = PartWriter(root, "db/c", 1)
    writer.add([Document("b", 1, b"{}"), Document("a", 1, b"{}")])
    [found] = damages(root, writer.finish())
    assert (found.line, found.key, "not in order" in found.reason) == (2, "a", True)


def test_many_damages_are_counted_and_few_are_named(root: Path) -> None:
    writer = PartWriter(root, "db/c", 1)
    writer.add([Document(f"{n:03}", 1, b'{"n":%d}' % n) for n in range(100)])
    part = writer.finish()
    recompress(root / DATA, lambda content: content.replace(b'"n"', b'"m"'))
    checked = reader.check(root, part)
    assert (checked.damaged, len(checked.damages)) == (100, reader.SAMPLES)
