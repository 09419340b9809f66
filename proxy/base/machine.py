"""Identities of a boot of the machine and of a file. No state."""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
from pathlib import Path
from typing import Final

_GET_VERSION: Final = 0x80087601  # FS_IOC_GETVERSION: what a file system adds to the numbers that it uses again


def boot_id() -> str:
    """Return an id that stays the same while the machine runs; empty if the system does not report one."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    return ""


def file_id(path: Path) -> str:
    """Return an id of a file or directory that a copy of it does not have; empty if there is none."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            generation = 0
            with contextlib.suppress(OSError):
                [generation] = struct.unpack("l", fcntl.ioctl(descriptor, _GET_VERSION, bytes(struct.calcsize("l"))))
            return f"{os.fstat(descriptor).st_ino}.{generation}"
        finally:
            os.close(descriptor)
    return ""


def directory_id(folder: Path) -> str:
    """Return an id of this directory on this boot of this machine."""
    return f"{boot_id()} {file_id(folder)}"
