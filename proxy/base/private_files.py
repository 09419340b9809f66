"""Files and folders that only their owner may read, whatever the umask: what they hold are documents, keys and names.

The rights of a folder alone do not suffice: it may be the root of a mounted volume, which belongs to another user.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import IO, Final, Literal

_FOLDER: Final = 0o700
_FILE: Final = 0o600
_OTHERS: Final = 0o007


def make_private(folder: Path) -> None:
    """Make a directory for its owner alone; take the rights of others from one that exists and is ours.

    A group's rights stay: an operator may have given them on purpose. Raise OSError.
    """
    folder.mkdir(mode=_FOLDER, parents=True, exist_ok=True)
    mode = folder.stat().st_mode
    if mode & _OTHERS:
        with contextlib.suppress(PermissionError):  # another's directory, such as the root of a mounted volume
            folder.chmod(mode & ~_OTHERS & 0o7777)


def open_private(path: Path, mode: Literal["wb", "ab"] = "wb") -> IO[bytes]:
    """Open a file for writing, and create it for its owner alone. An existing file keeps its rights. Raise OSError."""
    return open(path, mode, opener=_opened)


def write_private(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Replace the content of a file, and create it for its owner alone. Raise OSError.

    durable: it is on disk when this returns.
    """
    with open_private(path) as file:
        file.write(data)
        if durable:
            file.flush()
            os.fsync(file.fileno())


def _opened(path: str, flags: int) -> int:
    return os.open(path, flags, _FILE)
