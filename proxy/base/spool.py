"""Large bodies on their way from a client or to one, on disk: in memory are only the pieces that are read or written.

A spool is written from its beginning to its end, and read by position, several times if need be. Its file has no name,
so that it ends with the spool or with the process, whichever is first, and nothing has to be cleaned up.
"""

from __future__ import annotations

import asyncio
import os
import struct
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import IO, Final

from proxy.base.errors import ArangoError

PIECE: Final = 256 << 10  # bytes that are written or read together: less than a millisecond on most disks
_PLACE: Final = struct.Struct("<Q")  # of a row in a spool
ROOM: Final = 8 << 30  # bytes of all spools of a process


class SpoolSpace:
    """Where spools are written, and how much they may take together.

    folder: None is that of the machine for temporary files. limit: bytes of all spools.
    """

    def __init__(self, folder: Path | None = None, *, limit: int = ROOM) -> None:
        self._folder = folder
        self._left = limit

    @property
    def left(self) -> int:
        """Bytes that may still be written."""
        return self._left

    def new(self) -> Spool:
        """Return an empty spool."""
        return Spool(self)

    def open(self) -> IO[bytes]:
        """Return a new file without a name. Raise ArangoError 32 if the disk refuses it."""
        try:
            return tempfile.TemporaryFile(dir=self._folder, buffering=0)
        except OSError as error:
            raise _no_room(error.strerror) from error

    def take(self, size: int) -> None:
        """Take room for some bytes. Raise ArangoError 32 if there is none."""
        if size > self._left:
            raise _no_room("too many bytes wait on disk")
        self._left -= size

    def give_back(self, size: int) -> None:
        """Let others have the room."""
        self._left += size


def _no_room(why: str | None) -> ArangoError:
    return ArangoError(32, f"resource limit exceeded: {why}")


class Spool:
    """Bytes that are appended, and read by position. The last ones, up to PIECE, are still in memory.

    It lives as long as something refers to it; then its space is free again.
    """

    def __init__(self, space: SpoolSpace) -> None:
        self._space = space
        self._file: IO[bytes] | None = None
        self._written = 0
        self._tail = bytearray()

    def __del__(self) -> None:
        if self._file is not None:
            self._file.close()
        self._space.give_back(self._written)

    @property
    def space(self) -> SpoolSpace:
        """The space of which it has its room."""
        return self._space

    @property
    def size(self) -> int:
        """The number of bytes so far."""
        return self._written + len(self._tail)

    def append(self, data: bytes) -> None:
        """Add bytes at the end. Raise ArangoError 32 if there is no room for them."""
        self._tail += data
        if len(self._tail) >= PIECE:
            self._flush()

    def _flush(self) -> None:
        if self._file is None:
            self._file = self._space.open()
        size = len(self._tail)
        self._space.take(size)
        rest, offset = memoryview(self._tail), self._written
        self._written += size
        try:
            while rest:
                done = os.pwrite(self._file.fileno(), rest, offset)
                rest, offset = rest[done:], offset + done
        except OSError as error:
            raise _no_room(error.strerror) from error
        finally:
            rest.release()
        self._tail = bytearray()

    def read(self, begin: int, end: int) -> bytes:
        """Return the bytes from `begin` up to `end`."""
        found = b""
        if begin < self._written and self._file is not None:
            found = os.pread(self._file.fileno(), min(end, self._written) - begin, begin)
        if end > self._written:
            found += bytes(self._tail[max(0, begin - self._written) : end - self._written])
        return found

    async def pieces(self, begin: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Yield the bytes from `begin` up to `end` in pieces."""
        end = self.size if end is None else end
        while begin < end:
            piece = self.read(begin, min(begin + PIECE, end))
            begin += len(piece)
            yield piece
            await asyncio.sleep(0)  # a client that reads fast lets no other have its turn


class SpooledAnswer:
    """The body of an answer: an array whose elements wait on disk, joined by commas, with what surrounds them.

    It is an iterator of pieces, which are read once; what they consist of can be read before that. before: ends with
    the array's opening bracket; after: begins with the closing one. begin, end: the elements in the spool.
    """

    def __init__(self, spool: Spool, before: bytes, after: bytes, begin: int = 0, end: int | None = None) -> None:
        self.spool = spool
        self.before = before
        self.after = after
        self.begin = begin
        self.end = spool.size if end is None else end
        self._pieces = self._all()

    @property
    def size(self) -> int:
        """The number of bytes."""
        return len(self.before) + self.end - self.begin + len(self.after)

    def __aiter__(self) -> SpooledAnswer:
        return self

    async def __anext__(self) -> bytes:
        return await anext(self._pieces)

    async def aclose(self) -> None:
        """Drop the rest."""
        await self._pieces.aclose()

    async def _all(self) -> AsyncGenerator[bytes, None]:
        yield self.before
        async for piece in self.spool.pieces(self.begin, self.end):
            yield piece
        yield self.after


class SpooledRows:
    """The rows of a result, printed, joined by commas: the text of any rows that follow each other is one range."""

    def __init__(self, space: SpoolSpace) -> None:
        self.spool = space.new()
        self._begins = space.new()  # _PLACE of each row

    def __len__(self) -> int:
        return self._begins.size // _PLACE.size

    def append(self, row: bytes) -> None:
        """Add a row. Raise ArangoError 32 if the spools are full."""
        if self._begins.size:
            self.spool.append(b",")
        self._begins.append(_PLACE.pack(self.spool.size))
        self.spool.append(row)

    def extent(self, first: int, last: int) -> tuple[int, int]:
        """Return where the text of the rows from `first` up to `last` begins and ends."""
        if first >= last:
            return 0, 0
        end = self._begin(last) - 1 if last < len(self) else self.spool.size
        return self._begin(first), end

    def _begin(self, row: int) -> int:
        place: int = _PLACE.unpack(self._begins.read(row * _PLACE.size, (row + 1) * _PLACE.size))[0]
        return place

    def text(self, first: int, last: int) -> bytes:
        """Return these rows, joined by commas."""
        return self.spool.read(*self.extent(first, last))
