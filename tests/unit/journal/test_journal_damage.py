"""The journal on a failing disk: torn tails, damaged files, full disks, failed syncs."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from proxy.base.errors import JournalError
from proxy.base.machine import boot_id
from proxy.journal import dirty_collections
from proxy.journal.journal import Journal
from proxy.journal.records import DocumentWrite, Note, OpaqueWrite
from proxy.journal.recovery import Recovery
from proxy.journal.segment import SUFFIX
from tests.unit.journal.journal_fixtures import C, Open, keys_of, marked, opened, segments, take_all

__all__ = ["opened"]  # fixtures


# ---- damage


def test_a_torn_tail_is_cut(opened: Open, tmp_path: Path) -> None:
    journal, _ = opened()
    journal.intend(C, DocumentWrite(("a",)), 1)
    journal.intend(C, DocumentWrite(("b",)), 1)
    [path] = segments(tmp_path)
    whole = path.read_bytes()
    for length in range(len(whole) - 40, len(whole)):
        path.write_bytes(whole[:length])
        journal, recovery = opened()
        assert recovery == Recovery({C: 1})
        assert len(path.read_bytes()) < length + 1
        for other in segments(tmp_path)[1:]:
            other.unlink()
        (tmp_path / "segments").unlink()  # else they are missed
    path.write_bytes(whole + bytes(5000))
    journal, recovery = opened()
    assert recovery == Recovery({C: 2})
    assert path.read_bytes() == whole


def test_intents_that_lack_before_the_next_file_are_damage(opened: Open, tmp_path: Path) -> None:
    """A kill tears what is written last, and the next file was begun when this one was complete (I3, I10)."""
    journal, _ = opened(segment_intents=2)
    for key in "abc":
        journal.intend(C, DocumentWrite((key,)), 1)
    first = segments(tmp_path)[0]
    first.write_bytes(first.read_bytes()[:-3])
    journal, recovery = opened()
    assert recovery.damaged
    found = take_all(journal)
    assert (C, ("a",)) in found
    assert (C, ("c",)) in found
    assert any(collection == "*" for collection, _ in found), "what became of the second one nobody knows"


def test_an_empty_file_is_nothing(opened: Open, tmp_path: Path) -> None:
    (tmp_path / f"{1:016x}{SUFFIX}").write_bytes(b"XFJ")
    _, recovery = opened()
    assert recovery == Recovery()


@pytest.mark.parametrize("place", ["head", "first", "middle", "last", "length", "order"])
def test_a_damaged_file_is_set_aside_and_everything_becomes_unverified(
    opened: Open, tmp_path: Path, place: str
) -> None:
    journal, _ = opened()
    offsets = []
    for key in "abc":
        journal.intend(C, DocumentWrite((key,)), 1)
        offsets.append(journal._segments[-1].offsets[-1])
    journal.complete(2)
    journal.begin_sync()()
    [path] = segments(tmp_path)
    data = bytearray(path.read_bytes())
    match place:
        case "head":
            data[5] ^= 1
        case "first":
            data[offsets[0] + 20] ^= 1
        case "middle":
            data[offsets[1] + 20] ^= 1
        case "last":
            data[-1] ^= 1
        case "length":
            data[offsets[1] + 7] ^= 1  # it says that it is longer than the file
        case "order":
            del data[offsets[0] : offsets[1]]
    path.write_bytes(data)
    journal, recovery = opened()
    [reason] = recovery.damaged
    assert "set aside" in reason
    assert len(list(tmp_path.glob("*.damaged-1"))) == 1
    notes = journal.take(100, 100)
    assert [note for note in notes if isinstance(note.write, OpaqueWrite)] == [
        Note(notes[-1].seq, notes[-1].time, 0, "*", OpaqueWrite(reason, ("*",)), notes[-1].up)
    ]
    saved = {keys_of(note)[0] for note in notes if keys_of(note)}
    lost = {"head": set(), "first": {"a"}, "middle": set(), "last": set(), "length": set(), "order": {"a"}}
    assert saved >= {"a", "c"} - lost[place]
    assert notes[0].seq > 3
    assert journal.open_intents == len(notes)
    # the same damage does not count twice
    _, recovery = opened()
    assert recovery.damaged == []
    assert recovery.open == len(notes)


def test_an_intent_that_cannot_be_read_any_more_makes_everything_unverified(opened: Open, tmp_path: Path) -> None:
    journal, _ = opened()
    journal.spill(journal.intend(C, DocumentWrite(("a",)), 1))
    [path] = segments(tmp_path)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    [note] = journal.take(9, 9)
    assert note.write == OpaqueWrite("an intent in the journal could not be read", ("*",))
    assert journal.oldest() is not None


# ---- the machine


def test_a_stop_of_the_machine_names_what_was_written_since_the_last_sync_point(opened: Open) -> None:
    journal, _ = opened(boot=lambda: "first")
    journal.complete(journal.intend("db/early", DocumentWrite(("a",)), 1))
    journal.complete(journal.intend("db/both", DocumentWrite(("a",)), 1))
    sync = journal.begin_sync()
    journal.complete(journal.intend("db/both", DocumentWrite(("b",)), 1))
    sync()
    journal.end_sync()
    journal.complete(journal.intend("db/late", DocumentWrite(("a",)), 1))
    _, recovery = opened(boot=lambda: "first")
    assert not recovery.machine_stopped  # the process was killed, that is all; and everything is synced now
    journal, _ = opened(boot=lambda: "first")
    journal.intend("db/late", DocumentWrite(("a",)), 1)
    journal, recovery = opened(boot=lambda: "second")
    assert recovery.machine_stopped
    assert marked(journal) == {"db/late"}


def test_a_sync_point_forgets_what_was_not_written_since(opened: Open) -> None:
    journal, _ = opened(boot=lambda: "first")
    for name in ("db/early", "db/both"):
        journal.intend(name, DocumentWrite(("a",)), 1)
    sync = journal.begin_sync()
    journal.intend("db/both", DocumentWrite(("b",)), 1)
    sync()
    journal.end_sync()
    journal.intend("db/late", DocumentWrite(("a",)), 1)
    journal, _ = opened(boot=lambda: "second")
    assert marked(journal) == {"db/both", "db/late"}


def test_many_collections_are_named_by_their_databases(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dirty_collections, "_LIMIT", 10)
    journal, _ = opened(boot=lambda: "first")
    for number in range(100):
        journal.complete(journal.intend(f"db{number % 3}/c{number}", DocumentWrite(("a",)), 1))
    journal, _ = opened(boot=lambda: "second")
    assert marked(journal) == {"db0/*", "db1/*", "db2/*", *(f"db{number % 3}/c{number}" for number in range(10))}
    for number in range(100):
        journal.intend(f"many{number}/c", DocumentWrite(("a",)), 1)
    journal, _ = opened(boot=lambda: "third")
    assert "*" in marked(journal)


def test_a_system_without_a_boot_id_trusts_clean_ends_only(opened: Open) -> None:
    journal, _ = opened(boot=lambda: "")
    journal.intend(C, DocumentWrite(("a",)), 1)
    _, recovery = opened(boot=lambda: "")
    assert recovery.machine_stopped
    journal, _ = opened(boot=lambda: "")
    journal.close()
    _, recovery = opened(boot=lambda: "")
    assert not recovery.machine_stopped
    assert boot_id() == boot_id()


# ---- what goes wrong


def test_a_sync_that_failed_is_made_up_for(opened: Open) -> None:
    journal, _ = opened(boot=lambda: "first")
    journal.intend("db/early", DocumentWrite(("a",)), 1)
    journal.begin_sync()
    journal.end_sync(done=False)
    assert all(segment.dirty for segment in journal._segments)
    journal, _ = opened(boot=lambda: "second")
    assert marked(journal) == {"db/early"}


def test_a_kill_while_damage_is_taken_in_forgets_nothing(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, _ = opened()
    journal.intend(C, DocumentWrite(("a",)), 1)
    [path] = segments(tmp_path)
    data = path.read_bytes()
    path.write_bytes(b"?" + data[1:])
    with monkeypatch.context() as patched:

        def killed(*_: object) -> None:
            raise OSError(4, "killed here")

        patched.setattr(Path, "rename", killed)
        with pytest.raises(JournalError):
            opened()
    (tmp_path / f"other{SUFFIX}").write_text("not ours")
    journal, recovery = opened()
    assert len(recovery.damaged) == 1
    assert [keys for _, keys in take_all(journal)].count(("a",)) >= 1


def test_a_directory_that_is_a_file_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match="cannot open the journal"):
        Journal(tmp_path / "file").open()


def test_one_process_at_a_time(opened: Open, tmp_path: Path) -> None:
    opened()
    with pytest.raises(JournalError, match=rf"in use by process {os.getpid()}: .* set CROSSFADE_STATE_DIR"):
        Journal(tmp_path).open()


def test_a_closed_journal_takes_nothing(opened: Open) -> None:
    journal, _ = opened()
    journal.close()
    assert journal.next_seq == 0
    with pytest.raises(JournalError, match="closed"):
        journal.intend(C, DocumentWrite(("a",)), 1)


def test_a_full_disk_leaves_no_torn_record(opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal, _ = opened()
    journal.intend(C, DocumentWrite(("a",)), 1)
    real = os.write
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", lambda fd, data: real(fd, data[: len(data) // 2]))
        with pytest.raises(JournalError, match="the disk is full"):
            journal.intend(C, DocumentWrite(("b",)), 1)
    assert journal.intend(C, DocumentWrite(("c",)), 1) == 2
    journal, recovery = opened()
    assert recovery == Recovery({C: 2})
    assert take_all(journal) == [(C, ("a",)), (C, ("c",))]


def test_a_write_that_cannot_be_undone_seals_the_segment(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, _ = opened()
    keyless = journal.intend(C, DocumentWrite(), 1)
    real = os.write
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", lambda fd, data: real(fd, data[: len(data) // 2]))

        def broken(fd: int, size: int) -> None:
            raise OSError(5, "I/O error")

        patched.setattr(os, "ftruncate", broken)
        with pytest.raises(JournalError):
            journal.intend(C, DocumentWrite(("b",)), 1)
    with pytest.raises(JournalError, match="sealed"):
        journal.amend(keyless, C, DocumentWrite(("made",)), 1)
    assert journal.intend(C, DocumentWrite(("c",)), 1) == 2
    assert len(segments(tmp_path)) == 2
    journal.complete(keyless)
    assert len(segments(tmp_path)) == 1


def test_no_new_file_on_a_full_disk(opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal, _ = opened(segment_intents=1)
    journal.intend(C, DocumentWrite(("a",)), 1)

    def full(fd: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    def none(*_: object) -> int:
        raise OSError(24, "Too many open files")

    for name, replacement in (("write", full), ("open", none)):
        with monkeypatch.context() as patched:
            patched.setattr(os, name, replacement)
            with pytest.raises(JournalError, match=r"No space left|Too many open"):
                journal.intend(C, DocumentWrite(("b",)), 1)
        assert len(segments(tmp_path)) == 1
    assert journal.intend(C, DocumentWrite(("b",)), 1) == 2
    journal.spill(1)
    with monkeypatch.context() as patched:
        patched.setattr(os, "pread", none)
        with pytest.raises(JournalError, match="cannot read"):
            journal.take(9, 9)
        with pytest.raises(JournalError):
            journal.oldest()
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", none)
        with pytest.raises(JournalError, match="cannot write"):
            journal.intend("db/new", DocumentWrite(("b",)), 1)


async def test_syncing_runs_beside_writing(opened: Open) -> None:
    journal, _ = opened(segment_intents=50)
    for number in range(200):
        journal.intend(C, DocumentWrite((f"k{number}",)), 1)
    sync = asyncio.create_task(asyncio.to_thread(journal.begin_sync()))
    for number in range(200):
        journal.intend(C, DocumentWrite((f"l{number}",)), 1)
        await asyncio.sleep(0)
    await sync
    journal.end_sync()
    assert journal.open_intents == 400
