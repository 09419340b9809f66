"""The journal: intents are there after a kill, damage is reported, memory stays bounded (I3)."""

from __future__ import annotations

import os
import time
from pathlib import Path

from proxy.journal.records import DocumentWrite, OpaqueWrite
from proxy.journal.recovery import Recovery
from tests.unit.journal.journal_fixtures import C, Open, keys_of, opened, segments, take_all

__all__ = ["opened"]  # fixtures


def test_open_intents_survive_a_kill(opened: Open) -> None:
    journal, recovery = opened()
    assert recovery == Recovery()
    first = journal.intend(C, DocumentWrite(("a",)), 7)
    second = journal.intend("db/ünïcode", DocumentWrite(("b", "c")), 8)
    keyless = journal.intend(C, DocumentWrite(), 9)
    opaque = journal.intend("db/*", OpaqueWrite("import", ("db/*",)), 9)
    late = journal.intend(C, DocumentWrite(), 9)
    journal.amend(late, C, DocumentWrite(("made",)), 9)
    assert [first, second, keyless, opaque, late] == [1, 2, 3, 4, 5]
    assert journal.complete(first)
    assert not journal.complete(first)
    assert not journal.is_open(first)
    assert journal.is_open(second)
    journal.begin_sync()()
    journal, recovery = opened()
    assert recovery.collections == {"db/ünïcode": 1, C: 2, "db/*": 1}
    assert recovery.open == journal.open_intents == 4
    notes = journal.take(100, 100)
    assert [(note.seq, note.collection, note.write, note.stamp) for note in notes] == [
        (2, "db/ünïcode", DocumentWrite(("b", "c")), 8),
        (3, C, DocumentWrite(), 9),
        (4, "db/*", OpaqueWrite("import", ("db/*",)), 9),
        (5, C, DocumentWrite(("made",)), 9),
    ]
    assert journal.take(100, 100) == []  # they are held
    assert journal.next_seq == 6
    journal.spill(3)
    assert [note.seq for note in journal.take(100, 100)] == [3]


def test_a_clean_end_leaves_nothing_but_open_intents(opened: Open, tmp_path: Path) -> None:
    journal, _ = opened()
    journal.complete(journal.intend(C, DocumentWrite(("a",)), 1))
    journal.close()
    assert [file.name for file in tmp_path.iterdir()] == ["lock"]
    journal, _ = opened()
    journal.intend(C, DocumentWrite(("a",)), 1)
    journal.close()
    journal, recovery = opened()
    assert recovery == Recovery({C: 1})


def test_whole_segments_go_when_all_in_them_is_settled(opened: Open, tmp_path: Path) -> None:
    journal, _ = opened(segment_intents=10)
    numbers = [journal.intend(C, DocumentWrite((f"k{number}",)), 1) for number in range(35)]
    assert len(segments(tmp_path)) == 4
    for seq in numbers[10:30]:
        journal.complete(seq)
    assert [int(path.stem, 16) for path in segments(tmp_path)] == [1, 31]
    oldest = journal.oldest()
    assert oldest is not None
    assert oldest == journal.oldest()
    assert abs(time.time() - oldest.time) < 60
    for seq in numbers:
        journal.complete(seq)
    assert journal.oldest() is None
    assert journal.open_intents == 0
    for number in range(10):  # a segment that is full and settled goes when the next begins
        journal.complete(journal.intend(C, DocumentWrite((f"k{number}",)), 1))
    assert len(segments(tmp_path)) == 1


def test_old_segments_are_settled_amended_and_read_with_two_files_open(opened: Open, tmp_path: Path) -> None:
    journal, _ = opened(segment_intents=600)
    numbers = [journal.intend(C, DocumentWrite(), 1) for _ in range(1500)]
    before = len(os.listdir("/proc/self/fd"))
    for seq in numbers:
        journal.amend(seq, C, DocumentWrite((f"made{seq}",)), 1)
    for seq in numbers[::2]:
        journal.complete(seq)
    for seq in numbers[1::2]:
        journal.spill(seq)
    assert len(os.listdir("/proc/self/fd")) <= before + 1
    journal, recovery = opened(segment_intents=600)
    # notes of settled intents are written in batches: a kill may forget some, which costs re-reads only
    assert 750 <= recovery.open < 1500
    assert {keys for _, keys in take_all(journal)} >= {(f"made{seq}",) for seq in numbers[1::2]}


def test_spilled_intents_are_taken_in_portions_the_oldest_first(opened: Open) -> None:
    journal, _ = opened(segment_intents=4)
    for number in range(10):
        journal.spill(journal.intend(C, DocumentWrite(tuple(f"k{number}-{part}" for part in range(3))), 1))
    assert [note.seq for note in journal.take(2, 100)] == [1, 2]
    assert [note.seq for note in journal.take(100, 5)] == [3, 4]
    assert [note.seq for note in journal.take(100, 100)] == [5, 6, 7, 8, 9, 10]


def test_intents_of_an_earlier_process_wait_for_late_requests(opened: Open) -> None:
    journal, _ = opened()
    journal.intend(C, DocumentWrite(("a",)), 1)
    journal, _ = opened(late=3600)
    assert journal.take(9, 9) == []
    journal.spill(journal.intend(C, DocumentWrite(("b",)), 1))  # of this process: at once
    assert take_all(journal) == [(C, ("b",))]


def test_long_records_are_read_back(opened: Open) -> None:
    journal, _ = opened()
    keys = tuple(f"key-{number}" for number in range(5000))
    journal.spill(journal.intend(C, DocumentWrite(keys), 1))
    [note] = journal.take(1, 1)
    assert keys_of(note) == keys
    odd = ("\udcff", "a\nb")
    journal.spill(journal.intend("db/\udcff", DocumentWrite(odd), 1))
    assert take_all(journal) == [("db/\udcff", odd)]


def test_memory_for_600_000_open_intents_is_small(opened: Open) -> None:
    journal, _ = opened()
    for number in range(60_000):
        journal.spill(journal.intend(C, DocumentWrite((f"k{number}",)), 1))
    # a byte of state and four of place an intent; lists of settled ones are empty
    taken = sum(len(s.state) + s.offsets.itemsize * len(s.offsets) + 8 * len(s.fresh) for s in journal._segments)
    assert taken == 5 * 60_000
    assert taken * 10 < 4 << 20
