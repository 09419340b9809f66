"""The collections written since the last sync point of the journal: those that a stop of the machine may have cost.

A file of JSON strings, one a line. A name is in it, synced, before the collection's first intent since a sync point.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final

from proxy.base.private_files import open_private
from proxy.journal.segment import journal_error

EVERYTHING: Final = "*"  # instead of a collection: every database
_LIMIT: Final = 1000  # names noted one by one; clients choose names, so beyond that their databases are, then all


class DirtyCollections:
    """The file, and what of it is in use. Raises JournalError if it cannot be written."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "collections"
        self._encoded: dict[str, bytes] = {}  # collections written since the sync point began, and their bytes
        self._used: set[str] = set()  # what is in the file for them
        self._noted: set[str] = set()  # the file

    def read(self) -> list[str]:
        """Return the names that an earlier process left; an unfinished line was never relied upon."""
        try:
            lines = self._file.read_text("ascii").splitlines(keepends=True)
        except FileNotFoundError:
            return []
        return [str(json.loads(line)) for line in lines if line.endswith("\n")]

    def name(self, collection: str) -> bytes:
        """Return the collection's name as bytes, once it is in the file."""
        return self._encoded.get(collection) or self._note(collection)

    def begin(self) -> None:
        """Begin a sync point: from now on names count as new."""
        self._encoded = {}
        self._used = set()

    def end(self) -> None:
        """End a sync point: remove the names that were not used since it began."""
        if len(self._used) < len(self._noted):
            self._write(self._used)

    def clear(self) -> None:
        """Remove all names: everything written before is synced."""
        self._encoded = {}
        self._used = set()
        self._write(set())

    def _note(self, collection: str) -> bytes:
        wanted = collection
        if collection not in self._noted and len(self._noted) >= _LIMIT:
            wanted = collection.partition("/")[0] + "/*" if len(self._noted) < 2 * _LIMIT else EVERYTHING
        if wanted not in self._noted:
            try:
                with self._file.open("a", encoding="ascii") as file:
                    file.write(json.dumps(wanted) + "\n")
                    file.flush()
                    os.fsync(file.fileno())
            except OSError as error:
                raise journal_error("write", self._file, error) from error
            self._noted.add(wanted)
        self._used.add(wanted)
        encoded = self._encoded[collection] = collection.encode("utf-8", "surrogatepass")
        return encoded

    def _write(self, names: set[str]) -> None:
        replace(self._file, "".join(json.dumps(name) + "\n" for name in sorted(names)))
        self._noted = set(names)


def replace(file: Path, text: str) -> None:
    """Replace a file by a new one, complete and on disk, its name included. Raise JournalError."""
    new = file.with_name(file.name + ".new")
    try:
        with open_private(new) as opened:
            opened.write(text.encode("ascii"))
            opened.flush()
            os.fsync(opened.fileno())
        new.replace(file)
        folder = os.open(file.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise journal_error("write", file, error) from error
