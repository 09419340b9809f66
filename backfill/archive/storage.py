"""The folder of an archive: names, a lock, files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import quote

from proxy.base.errors import CrossfadeError

PARTIAL: Final = ".partial"
_LOCK: Final = ".lock"


class ArchiveError(CrossfadeError):
    """An archive that cannot be written, read or used as asked; the message says which file, and why."""


def folder_name(collection: str) -> str:
    """`database/name` as a relative path, safe in every file system."""
    return "/".join(quote(part, safe="").replace(".", "%2E") for part in collection.split("/", 1))


def inside(root: Path, name: str) -> Path:
    """The path of a file that a manifest names. Raises ArchiveError where it would lie elsewhere."""
    relative = PurePosixPath(name)
    if relative.is_absolute() or not relative.parts or ".." in relative.parts:
        raise ArchiveError(f"the manifest names {name!r}, which is not inside the archive")
    return root.joinpath(*relative.parts)


@contextlib.contextmanager
def locked(root: Path) -> Iterator[None]:
    """One writer an archive. Makes the folder. Raises ArchiveError where another one is at work, or it cannot write."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        file = (root / _LOCK).open("a")
    except OSError as error:
        raise ArchiveError(f"{root} cannot be written: {error.strerror}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ArchiveError(f"another export writes into {root}") from error
        yield


def write_atomically(path: Path, data: bytes) -> None:
    """The file has these bytes, or is as it was; synced."""
    beside = path.with_name(path.name + PARTIAL)
    with beside.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    put_in_place(beside, path)


def put_in_place(beside: Path, path: Path) -> None:
    """Renames a synced file, and syncs its folder."""
    beside.replace(path)
    number = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def clear_partial(folder: Path) -> None:
    """Removes what a killed writer left."""
    for path in folder.glob("*" + PARTIAL):
        path.unlink(missing_ok=True)
