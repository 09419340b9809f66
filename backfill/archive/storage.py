"""The folder of an archive: names, a lock, atomic files."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import quote

from proxy.base.errors import CrossfadeError
from proxy.base.private_files import open_private

PARTIAL: Final = ".partial"
_LOCK: Final = ".lock"


class ArchiveError(CrossfadeError):
    """An archive cannot be written, read or used as requested; the message names the file and the reason."""


def folder_name(collection: str) -> str:
    """Return `database/name` as a relative path that is safe in every file system."""
    return "/".join(quote(part, safe="").replace(".", "%2E") for part in collection.split("/", 1))


def inside(root: Path, name: str) -> Path:
    """Return the path of a file that a manifest names. Raise ArchiveError if it is outside the archive."""
    relative = PurePosixPath(name)
    if relative.is_absolute() or not relative.parts or ".." in relative.parts:
        raise ArchiveError(f"the manifest names {name!r}, which is not inside the archive")
    return root.joinpath(*relative.parts)


@contextlib.contextmanager
def locked(root: Path) -> Iterator[None]:
    """Create the folder and lock it for one writer. Raise ArchiveError if it is locked or cannot be written."""
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = open_private(root / _LOCK, "ab")
    except OSError as error:
        raise ArchiveError(f"{root} cannot be written: {error.strerror}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ArchiveError(f"another export writes into {root}") from error
        yield


def write_atomically(path: Path, data: bytes) -> None:
    """Replace the content of a file atomically, and sync it."""
    temporary = path.with_name(path.name + PARTIAL)
    with open_private(temporary) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    put_in_place(temporary, path)


def put_in_place(temporary: Path, path: Path) -> None:
    """Rename a synced temporary file to its final name, and sync the folder."""
    temporary.replace(path)
    number = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def clear_partial(folder: Path) -> None:
    """Remove the temporary files of a killed writer."""
    for path in folder.glob("*" + PARTIAL):
        path.unlink(missing_ok=True)
