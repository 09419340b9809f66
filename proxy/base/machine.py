"""What tells one boot of the machine, and one file, from another. No state."""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
from pathlib import Path
from typing import Final

_GET_VERSION: Final = 0x80087601  # FS_IOC_GETVERSION: what a file system adds to the numbers that it uses again


def boot_id() -> str:
    """What is the same as long as the machine runs; empty where the system does not say."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    return ""


def identity(path: Path) -> str:
    """What a copy of the file, or of the directory, does not have; empty where there is none."""
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


def place(folder: Path) -> str:
    """This directory on this boot of this machine."""
    return f"{boot_id()} {identity(folder)}"
