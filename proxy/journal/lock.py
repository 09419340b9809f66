"""The lock on the journal's directory: one process at a time has it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from proxy.base.errors import JournalError
from proxy.base.machine import file_id


class DirectoryLock:
    """An flock on the file `lock`, which holds the number of the process. It goes with the process, however that ends.

    identity: what tells this directory from a copy of it, once the lock is taken; empty if that is not known.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._fd = -1
        self.identity = ""

    def take(self) -> None:
        """Take the lock. Raise JournalError if another process has it, OSError if there can be none."""
        path = self._folder / "lock"
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = os.pread(self._fd, 32, 0).decode("ascii", "replace").strip()
            raise JournalError(
                f"the journal in {self._folder} is in use by process {owner or 'unknown'}: "
                "every proxy needs its own state directory, set CROSSFADE_STATE_DIR"
            ) from error
        self.identity = file_id(path)
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Give the directory back."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
