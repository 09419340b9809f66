"""Writes one part of an archive: documents and checksums go to temporary files, which are synced and renamed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from backfill import checksum
from backfill.archive.compression import LEVEL, Compressor
from backfill.archive.manifest import Part
from backfill.archive.storage import PARTIAL, put_in_place
from backfill.origin_pages import Document
from proxy.base.private_files import open_private

SUM_DIGITS: Final = 16


class _HashingFile:
    """A compressed file, with the sha256 and the size of its compressed bytes."""

    def __init__(self, path: Path, level: int) -> None:
        self.path = path
        self._file = open_private(path.with_name(path.name + PARTIAL))
        self._hash = hashlib.sha256()
        self.size = 0
        self._compressor = Compressor(self, level)

    def write(self, data: bytes) -> int:
        """Write compressed bytes: called by the compressor."""
        self._hash.update(data)
        self.size += len(data)
        return self._file.write(data)

    def flush(self) -> None:
        """Do nothing: the compressor calls this, but `finish()` flushes."""

    def add(self, data: bytes) -> None:
        self._compressor.write(data)

    def finish(self) -> str:
        """Finish and sync the temporary file; return its sha256."""
        self._compressor.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return self._hash.hexdigest()

    def put_in_place(self) -> None:
        put_in_place(self.path.with_name(self.path.name + PARTIAL), self.path)

    def abandon(self) -> None:
        self._file.close()
        self.path.with_name(self.path.name + PARTIAL).unlink(missing_ok=True)


class PartWriter:
    """Writes the documents of one part, in key order. `finish()` makes it permanent, `abandon()` removes it.

    root: the archive's folder; folder: the collection's, relative; number: the part's, from 1. Not thread-safe.
    """

    def __init__(self, root: Path, folder: str, number: int, level: int = LEVEL) -> None:
        self._stem = f"{folder}/part-{number:06}"
        self._data = _HashingFile(root / f"{self._stem}.jsonl.zst", level)
        self._sums = _HashingFile(root / f"{self._stem}.sums.zst", level)
        self._total = 0
        self._first = self._last = ""
        self.documents = 0
        self.bytes = 0
        self.respaced = 0

    def add(self, documents: Sequence[Document]) -> None:
        """Append documents. Raise OSError."""
        data: list[bytes] = []
        sums: list[str] = []
        for document in documents:
            raw = document.raw
            if b"\n" in raw or b"\r" in raw:  # only between tokens: JSON escapes them in strings
                raw = raw.replace(b"\n", b" ").replace(b"\r", b" ")
                self.respaced += 1
            hashed = hashlib.sha256(raw).digest()
            self._total += int.from_bytes(hashed)
            data.append(raw)
            sums.append(f"{hashed.hex()[:SUM_DIGITS]} {document.rev} {document.key}\n")
            self.bytes += len(raw)
        if not data:
            return
        self._first = self._first or documents[0].key
        self._last = documents[-1].key
        self.documents += len(data)
        self._data.add(b"\n".join(data) + b"\n")
        self._sums.add("".join(sums).encode())

    def finish(self) -> Part:
        """Sync both files and rename them to their final names. Raise OSError."""
        sha256, sums_sha256 = self._data.finish(), self._sums.finish()
        self._sums.put_in_place()
        self._data.put_in_place()
        return Part(
            file=f"{self._stem}.jsonl.zst",
            documents=self.documents,
            bytes=self.bytes,
            compressed=self._data.size,
            sha256=sha256,
            sums=f"{self._stem}.sums.zst",
            sums_sha256=sums_sha256,
            digest=checksum.text(self._total),
            first=self._first,
            last=self._last,
        )

    def abandon(self) -> None:
        self._data.abandon()
        self._sums.abandon()
