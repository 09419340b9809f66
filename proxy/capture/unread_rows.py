"""Rows of results that clients have not asked for yet: a little in memory, the rest in files of the state directory.

The files have no names, so that nothing of them outlives the process. If the disk is full, or they would exceed the
bound of all results together, the remaining rows are lost and the client gets an error for them: a write that ArangoDB
carried out is never refused for that reason.
"""

from __future__ import annotations

import itertools
import os
import tempfile
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Final

import structlog

from proxy.base.errors import ArangoError

log = structlog.get_logger(__name__)

_MEMORY: Final = 256 << 10  # bytes of one result
_TOGETHER: Final = 32 << 20  # bytes of all results in memory; beyond, each has a file
_FILES: Final = 1000
_MOST: Final = 4 << 30  # bytes of all files


class DiskBudget:
    """The bound that all results of a process share. folder: for their files."""

    def __init__(self, folder: Path, most: int = _MOST) -> None:
        self.folder = folder
        self.most = most
        self.taken = 0  # bytes of files
        self.files = 0
        self.memory = 0  # bytes


class UnreadRows:
    """The rows of one result, in order. Its methods may wait for a disk."""

    def __init__(self, room: DiskBudget) -> None:
        self._room = room
        self._ends = array("Q", (0,))  # where each row ends; the first begins at 0
        self._memory = bytearray()
        self._file: IO[bytes] | None = None
        self._filed = 0  # bytes of it
        self._lost = False

    def __len__(self) -> int:
        return len(self._ends) - 1

    def add(self, rows: Sequence[bytes]) -> None:
        """Append rows."""
        end = self._ends[-1]
        for row in rows:
            end += len(row)
            self._ends.append(end)
        if self._lost:
            return
        before = len(self._memory)
        self._memory += b"".join(rows)
        self._room.memory += len(self._memory) - before
        if len(self._memory) > _MEMORY or self._room.memory > _TOGETHER:
            self._spill()

    def take(self, start: int, number: int) -> list[bytes]:
        """Return at most `number` rows, fewer at the end. Raise ArangoError if they could not be kept."""
        stop = min(start + number, len(self))
        ends = self._ends[start : stop + 1]
        if stop <= start:
            return []
        text = self._read(ends[0], ends[-1])
        return [text[begin - ends[0] : end - ends[0]] for begin, end in itertools.pairwise(ends)]

    def close(self) -> None:
        """Drop all of them."""
        if self._file is not None:
            self._room.taken -= self._filed
            self._room.files -= 1
            self._file.close()
            self._file = None
        self._room.memory -= len(self._memory)
        self._memory, self._lost = bytearray(), True

    def _spill(self) -> None:
        try:
            if self._room.taken + len(self._memory) > self._room.most:
                raise OSError(f"results of more than {self._room.most} bytes wait")
            if self._file is None:
                if self._room.files >= _FILES:
                    raise OSError(f"more than {_FILES} results wait")
                self._file = tempfile.TemporaryFile(dir=self._room.folder, buffering=0)  # noqa: SIM115 (see `close`)
                self._room.files += 1
            while self._memory:
                written = self._file.write(self._memory)
                self._filed += written
                self._room.taken += written
                self._room.memory -= written
                del self._memory[:written]
        except OSError as error:
            log.error("unread_rows_lost", error=str(error))
            self.close()

    def _read(self, start: int, stop: int) -> bytes:
        if self._lost:
            raise ArangoError(32, "the rows that are left could not be kept", status=500)
        parts: list[bytes] = []
        while self._file is not None and start < min(stop, self._filed):
            parts.append(os.pread(self._file.fileno(), min(stop, self._filed) - start, start))
            if not parts[-1]:
                raise ArangoError(32, "the rows that are left could not be read", status=500)
            start += len(parts[-1])
        parts.append(bytes(self._memory[start - self._filed : stop - self._filed]))
        return b"".join(parts)
