"""Fixtures of the journal: one that can be killed, its segments."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from proxy.journal.journal import Journal
from proxy.journal.records import DocumentWrite, Note, OpaqueWrite
from proxy.journal.recovery import Recovery
from proxy.journal.segment import SUFFIX

Open = Callable[..., tuple[Journal, Recovery]]
C = "db/things"


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    """Open the journal of this test; the one before is killed: it loses its lock and its memory, nothing else."""
    journals: list[Journal] = []

    def make(**options: object) -> tuple[Journal, Recovery]:
        kill(journals)
        journal = Journal(tmp_path, **options)  # type: ignore[arg-type]
        recovery = journal.open()
        journals.append(journal)
        return journal, recovery

    yield make
    kill(journals)


def kill(journals: list[Journal]) -> None:
    """Do to a journal what the end of its process does."""
    while journals:
        journal = journals.pop()
        for segment in journal._segments:
            segment.rest()
        journal._release()


def segments(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*{SUFFIX}"))


def keys_of(note: Note) -> tuple[str, ...]:
    return note.write.keys if isinstance(note.write, DocumentWrite) else ()


def take_all(journal: Journal) -> list[tuple[str, tuple[str, ...]]]:
    return [(note.collection, keys_of(note)) for note in journal.take(10**9, 10**9)]


def marked(journal: Journal) -> set[str]:
    """Return the collections of opaque writes."""
    writes = [note.write for note in journal.take(5000, 5000)]
    return {name for write in writes if isinstance(write, OpaqueWrite) for name in write.collections}
