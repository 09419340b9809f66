"""A marker file that says: writes were forwarded while the journal could not be written (I10).

One byte in the place of another: a full disk takes that. Without it a kill while the disk is full would be silent:
PostgreSQL gets the marks immediately, but a verification may begin then and pass a document before it is written.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_ON, _OFF = b"1", b"0"


class UnjournaledMarker:
    """On from the first write that could not be journaled until PostgreSQL has all of them, or their marks."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "alarm"
        self._fd = -1
        self.on = False

    def open(self) -> bool:
        """Open or create the file; return True if an earlier process left it on. Raise OSError."""
        self._fd = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        left = os.pread(self._fd, 1, 0)
        self.on = left == _ON
        if not left:
            os.pwrite(self._fd, _OFF, 0)
        return self.on

    def set(self, *, on: bool) -> None:
        """Turn it on or off. If not even one byte can be written there is no warning for the next process."""
        if on is not self.on and self._fd >= 0:
            self.on = on
            with contextlib.suppress(OSError):
                os.pwrite(self._fd, _ON if on else _OFF, 0)
                os.fdatasync(self._fd)

    def close(self, *, clean: bool = False) -> None:
        """Close the file. clean: the process ends in order; the file is removed unless it is on."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        if clean and not self.on:
            with contextlib.suppress(OSError):
                self._file.unlink(missing_ok=True)
