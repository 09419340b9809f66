"""What the disk is told when the journal cannot be written: that writes are forwarded without a note (I10).

One byte in the place of another: a full disk takes that. Without it a kill in the middle of a full disk would be
silent: PostgreSQL is told at once, but a verification may begin then and pass a document before it is written.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_ON, _OFF = b"1", b"0"


class Alarm:
    """On from the first write that could not be noted until PostgreSQL has all of them, or their marks."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "alarm"
        self._fd = -1
        self.on = False

    def open(self) -> bool:
        """Whether an earlier process left it on. Raises OSError."""
        self._fd = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        left = os.pread(self._fd, 1, 0)
        self.on = left == _ON
        if not left:
            os.pwrite(self._fd, _OFF, 0)
        return self.on

    def set(self, on: bool) -> None:
        """Where not even one byte can be written, nothing is said."""
        if on is not self.on and self._fd >= 0:
            self.on = on
            with contextlib.suppress(OSError):
                os.pwrite(self._fd, _ON if on else _OFF, 0)
                os.fdatasync(self._fd)

    def close(self, *, clean: bool = False) -> None:
        """clean: the process ends as it should, and nothing is to be said."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        if clean and not self.on:
            with contextlib.suppress(OSError):
                self._file.unlink(missing_ok=True)
