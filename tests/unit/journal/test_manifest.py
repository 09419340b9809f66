"""Files that were removed from the journal, or put back from a copy, are reported as damage (I3, I10)."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.journal import manifest
from proxy.journal.journal import Journal
from proxy.journal.records import DocumentWrite, OpaqueWrite
from proxy.journal.recovery import Recovery
from proxy.journal.segment import SUFFIX

C = "db/things"


def killed(folder: Path, intents: int = 5, *, clean: bool = False, settled: int = 0) -> None:
    """Leave what a process leaves that was killed with so many intents, two in each file."""
    journal = Journal(folder, segment_intents=2)
    journal.open()
    for number in range(intents):
        seq = journal.intend(C, DocumentWrite((f"k{number}",)), 1)
        if number < settled:
            journal.complete(seq)
    if clean:
        journal.close()
        return
    for segment in journal._segments:
        segment.rest()
    journal._release()


def opened(folder: Path) -> tuple[Recovery, list[str]]:
    """Return what the next process finds, and the collections that it marks."""
    journal = Journal(folder, segment_intents=2)
    recovery = journal.open()
    writes = [note.write for note in journal.sample(1000)]
    marked = [name for write in writes if isinstance(write, OpaqueWrite) for name in write.collections]
    journal.close()
    return recovery, marked


def segments(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*{SUFFIX}"))


def remove(*files: Path) -> None:
    for file in files:
        file.unlink()


REMOVED: dict[str, Callable[[Path], None]] = {
    "every file of intents": lambda folder: remove(*segments(folder)),
    "the first": lambda folder: segments(folder)[0].unlink(),
    "one in the middle": lambda folder: segments(folder)[1].unlink(),
    "the last": lambda folder: segments(folder)[-1].unlink(),
    "all of them and their list": lambda folder: remove(*segments(folder), folder / "segments"),
    "boot": lambda folder: (folder / "boot").unlink(),
    "collections": lambda folder: (folder / "collections").unlink(),
    "alarm": lambda folder: (folder / "alarm").unlink(),
    "lock": lambda folder: (folder / "lock").unlink(),
}


@pytest.mark.parametrize("what", REMOVED)
def test_what_was_removed_is_damage(tmp_path: Path, what: str) -> None:
    killed(tmp_path)
    REMOVED[what](tmp_path)
    recovery, marked = opened(tmp_path)
    assert recovery.damaged, what
    assert "*" in marked, "every database becomes unverified"
    assert opened(tmp_path)[0].damaged == [], "and it is said once"


def test_what_nobody_touched_is_none(tmp_path: Path) -> None:
    for settled in (0, 2, 3, 5):
        folder = tmp_path / str(settled)
        killed(folder, settled=settled)
        recovery, marked = opened(folder)
        assert (recovery.damaged, marked) == ([], [])


def test_a_file_that_was_left_by_a_clean_end_is_missed_too(tmp_path: Path) -> None:
    killed(tmp_path, clean=True)
    assert opened(tmp_path)[0] == Recovery({C: 5})
    segments(tmp_path)[1].unlink()
    assert opened(tmp_path)[0].damaged


def test_a_copy_is_told_from_what_it_is_a_copy_of(tmp_path: Path) -> None:
    killed(tmp_path / "journal")
    shutil.copytree(tmp_path / "journal", tmp_path / "copy")
    assert opened(tmp_path / "journal")[0].damaged == []
    [reason] = opened(tmp_path / "copy")[0].damaged
    assert "copy" in reason
    killed(tmp_path / "ended", clean=True)
    shutil.copytree(tmp_path / "ended", tmp_path / "moved")
    assert opened(tmp_path / "moved")[0].damaged == [], "behind a clean end a directory may be moved"


def test_the_journal_of_an_older_version_has_no_list(tmp_path: Path) -> None:
    killed(tmp_path)
    (tmp_path / "segments").unlink()
    boot = tmp_path / "boot"
    boot.write_text(boot.read_text().partition("\n")[0] + "\n")
    assert opened(tmp_path)[0] == Recovery({C: 5})


def test_the_list_stays_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "_MOST", 8)
    journal = Journal(tmp_path, segment_intents=1)
    journal.open()
    for number in range(100):
        journal.complete(journal.intend(C, DocumentWrite((f"k{number}",)), 1))
    assert (tmp_path / "segments").stat().st_size <= 9 * 18
    for segment in journal._segments:
        segment.rest()
    journal._release()
    assert opened(tmp_path)[0].damaged == []
