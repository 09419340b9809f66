"""One part of an archive: documents and their checksums, written beside, synced, then renamed into place."""

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

SUM_DIGITS: Final = 16


class _HashingFile:
    """A file that is compressed into, with the sha256 and the size of what reached it."""

    def __init__(self, path: Path, level: int) -> None:
        self.path = path
        self._file = path.with_name(path.name + PARTIAL).open("wb")
        self._hash = hashlib.sha256()
        self.size = 0
        self._compressor = Compressor(self, level)

    def write(self, data: bytes) -> int:
        """What the compressor calls."""
        self._hash.update(data)
        self.size += len(data)
        return self._file.write(data)

    def flush(self) -> None:
        """What the compressor calls: nothing needs to be there before the end."""

    def add(self, data: bytes) -> None:
        self._compressor.write(data)

    def finish(self) -> str:
        """Ends and syncs it; its sha256. It is not in place yet."""
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
    """Documents of one part, in key order. `finish()` puts it in place, `abandon()` leaves no trace.

    root: the archive; folder: of the collection, relative; number: of the part, from 1. Not for several threads.
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
        """Writes documents. Raises OSError."""
        data: list[bytes] = []
        sums: list[str] = []
        for document in documents:
            raw = document.raw
            if b"\n" in raw or b"\r" in raw:  # only between tokens: within strings JSON has them escaped
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
        """Both files are in place and synced. Raises OSError."""
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
