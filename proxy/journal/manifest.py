"""The list of the journal's files: a file that was removed, or a copy of an older state, must not look like no backlog.

`segments` lists them, a line of fixed length each: `+` and the segment's number, or `-` if it was dropped, written over
the `+` so that a full disk takes it. A line is written when the file is there and before the first intent is in it, and
struck out before the file is removed: a kill between the two leaves a file too many, which does no harm. So a file that
is listed and missing was removed by something else, and what was open in it is not known.

Beside them are `boot` (which boot of the machine, and what tells this directory's `lock` from a copy of it; there from
the start to a clean end), `collections` and `alarm`, as long as `boot` is there. `missed` reports what is not as a
process leaves it, whether it ends cleanly or is killed.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Final

from proxy.journal.dirty_collections import replace
from proxy.journal.segment import SUFFIX, journal_error

_LENGTH: Final = 18  # bytes of a line
_MOST: Final = 4096  # lines, after which those that are struck out are left out
_COPY: Final = "the journal is a copy: what was noted after it was made is missing"
_REMOVED: Final = "files of the journal were removed: {}"


class JournalManifest:
    """The list. Raises JournalError if it cannot be written."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "segments"
        self._lines: list[int] = []  # numbers, struck out or not
        self._open: set[int] = set()

    def read(self) -> set[int] | None:
        """Return the numbers that an earlier process left; None if there is no list (an older version made none)."""
        try:
            lines = self._file.read_bytes().splitlines(keepends=True)
        except FileNotFoundError:
            return None
        whole = [line for line in lines if len(line) == _LENGTH and line.endswith(b"\n")]
        found = set[int]()
        for line in whole:
            with contextlib.suppress(ValueError):
                (found.add if line[:1] == b"+" else found.discard)(int(line[1:-1], 16))
        return found

    def begin(self, numbers: Iterable[int]) -> None:
        """Replace the list: from now on the journal has these files and no others."""
        lines = sorted(numbers)
        replace(self._file, "".join(f"+{number:016x}\n" for number in lines))
        self._lines, self._open = lines, set(lines)

    def add(self, number: int) -> None:
        """Append a file that is there, with nothing in it yet."""
        if len(self._lines) >= _MOST:
            self.begin(self._open)
        try:
            with self._file.open("ab") as file:
                file.write(f"+{number:016x}\n".encode())
        except OSError as error:
            raise journal_error("write", self._file, error) from error
        self._lines.append(number)
        self._open.add(number)

    def drop(self, number: int) -> None:
        """Strike out a file that is about to be removed. If that fails, the next start reports it as missing."""
        self._open.discard(number)
        with contextlib.suppress(OSError, ValueError), self._file.open("r+b") as file:
            os.pwrite(file.fileno(), b"-", _LENGTH * self._lines.index(number))

    def end(self, numbers: Collection[int]) -> None:
        """Write the list of a clean end: these files stay, with what is open in them."""
        with contextlib.suppress(OSError):
            if not numbers:
                self._file.unlink(missing_ok=True)
                return
        self.begin(numbers)


def missed(
    folder: Path, listed: set[int] | None, present: Collection[int], boot: str | None, identity: str
) -> list[str]:
    """Return sentences about what was removed, or put back. boot: the text of that file, None if it is missing.

    Call before anything is written. identity: of the file `lock`, empty if it is not known.
    """
    found: list[str] = []
    gone = [f"{number:016x}{SUFFIX}" for number in sorted((listed or set()) - set(present))]
    if boot is None:
        if _has_lines(folder / "collections"):
            gone.append("boot")
    else:
        if listed is None and not present:
            gone.append("segments")
        gone += [name for name in ("collections", "alarm") if not (folder / name).exists()]
        _, _, before = boot.strip().partition("\n")
        if before and identity and before != identity:
            found.append(_COPY)
    if gone:
        found.append(_REMOVED.format(", ".join(gone[:5])))
    return found


def _has_lines(file: Path) -> bool:
    with contextlib.suppress(OSError):
        return file.stat().st_size > 0
    return False
