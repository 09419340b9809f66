"""The journal's file format, explored on the code itself: every short history, cut at every byte.

A killed process leaves a prefix of what it wrote. For every history of a few operations and every such prefix the files
are opened again. Open must then be exactly the intents whose record is complete, except those whose completion record
is complete as well, each with the keys that were known last. A wrong byte must never be silent: either the same is
open, or the damage is reported (and every database becomes unverified). The exception is the last record, where it
cannot be distinguished from a cut.
"""

from __future__ import annotations

import itertools
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from proxy.journal.journal import Journal
from proxy.journal.records import DocumentWrite
from proxy.journal.segment import SUFFIX

# operations: an intent with a key, one without, the key of the last one known, the oldest or the newest settled
INTEND, KEYLESS, LEARN, FIRST, LAST = "intend", "keyless", "learn", "first", "last"
OPERATIONS = (INTEND, KEYLESS, LEARN, FIRST, LAST)
_BOOT = "one boot"
Open = dict[int, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Explored:
    """The result of an exploration. wrong: empty, or the first wrong case."""

    histories: int
    crashes: int
    flips: int
    seconds: float
    wrong: str


def histories(length: int) -> Iterator[tuple[str, ...]]:
    """Yield all histories of at most `length` operations that have something to act on and begin with an intent."""
    for many in range(1, length + 1):
        for history in itertools.product(OPERATIONS, repeat=many):
            if _possible(history):
                yield history


def _possible(history: Sequence[str]) -> bool:
    is_open, unknown = 0, False
    for step in history:
        if step in (INTEND, KEYLESS):
            is_open, unknown = is_open + 1, step == KEYLESS
        elif step == LEARN:
            if not unknown:
                return False
            unknown = False
        elif is_open == 0:
            return False
        else:
            is_open, unknown = is_open - 1, False
    return True


def _journal(folder: Path) -> Journal:
    return Journal(folder, segment_intents=2, boot=lambda: _BOOT)  # so small that histories fill several


@dataclass(slots=True)
class _Run:
    """One history, executed. states: the open intents at each size of each file, by the file's name."""

    folder: Path
    journal: Journal
    open: Open

    def step(self, step: str, number: int) -> None:
        if step in (INTEND, KEYLESS):
            keys = (f"k{number}",) if step == INTEND else ()
            self.open[self.journal.intend("db/c", DocumentWrite(keys), 1)] = keys
        elif step == LEARN:
            seq = max(self.open)
            self.journal.amend(seq, "db/c", DocumentWrite((f"made{number}",)), 1)
            self.open[seq] = (f"made{number}",)
        else:
            seq = min(self.open) if step == FIRST else max(self.open)
            self.journal.complete(seq)
            del self.open[seq]

    def files(self) -> dict[str, bytes]:
        for segment in self.journal._segments:
            segment.flush()
        return {file.name: file.read_bytes() for file in sorted(self.folder.glob(f"*{SUFFIX}"))}


def recovered(folder: Path, files: dict[str, bytes]) -> tuple[Open, bool]:
    """Return what a new process finds open in these files, and whether it reports damage."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "boot").write_text(_BOOT + "\n")
    (folder / "collections").touch()
    (folder / "alarm").write_text("0")
    for name, data in files.items():
        (folder / name).write_bytes(data)
    journal = _journal(folder)
    recovery = journal.open()
    writes = {note.seq: note.write for note in journal.sample(1000)}
    found = {seq: write.keys for seq, write in writes.items() if isinstance(write, DocumentWrite)}
    journal.close()
    return found, bool(recovery.damaged)


def _check(folder: Path, history: tuple[str, ...], *, flips: bool) -> tuple[int, int, str]:
    """Return (crashes, flips, what is wrong) of one history: its last operation is cut at every byte."""
    live = folder / "live"
    shutil.rmtree(live, ignore_errors=True)
    run = _Run(live, _journal(live), {})
    run.journal.open()
    for number, step in enumerate(history[:-1]):
        run.step(step, number)
    before, files = dict(run.open), run.files()
    run.step(history[-1], len(history))
    after, grown = dict(run.open), run.files()
    shutil.rmtree(live)  # killed: it is never closed
    crashes = 0
    for name, data in grown.items():
        old = files.get(name, b"")
        for size in range(len(old), len(data) + 1):
            others = {other: text for other, text in files.items() if other != name}
            crashes += 1
            found, damaged = recovered(folder / "again", {**others, name: data[:size]})
            whole = old != data and size == len(data) and grown.keys() == files.keys()  # nothing was cut
            if damaged or found not in (before, after) or (whole and found != after):
                return crashes, 0, f"{history} cut at byte {size} of {name}: {found}, not {before} or {after}"
    flipped = 0
    if flips:
        for name, data in grown.items():
            for at in range(len(data)):
                flipped += 1
                broken = data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]
                found, damaged = recovered(folder / "again", {**grown, name: broken})
                torn = found == before and at >= len(files.get(name, b""))
                if found != after and not damaged and not torn:
                    return (
                        crashes,
                        flipped,
                        f"{history} with byte {at} of {name} flipped: {found}, not {after}, unreported",
                    )
    return crashes, flipped, ""


def explore(length: int, flips: int) -> Explored:
    """Cut histories of at most `length` operations everywhere; change each byte of those of at most `flips`."""
    begun = time.perf_counter()
    total = crashes = flipped = 0
    with tempfile.TemporaryDirectory(prefix="crossfade-journal-", dir=_memory()) as name:
        for history in histories(length):
            total += 1
            some, bits, wrong = _check(Path(name), history, flips=len(history) <= flips)
            crashes, flipped = crashes + some, flipped + bits
            if wrong:
                return Explored(total, crashes, flipped, time.perf_counter() - begun, wrong)
    return Explored(total, crashes, flipped, time.perf_counter() - begun, "")


def _memory() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def line(found: Explored) -> str:
    """Format an exploration as text."""
    return (
        f"the journal's files: {found.histories:,} histories, cut at {found.crashes:,} bytes, "
        f"{found.flips:,} bytes wrong, {found.seconds:.1f} s: {found.wrong or 'holds'}"
    )
