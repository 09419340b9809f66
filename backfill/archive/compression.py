"""Writes and reads compressed JSON Lines as streams. The only module that imports zstandard."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Final, Protocol, cast

import zstandard

from proxy.base.errors import CrossfadeError

LEVEL: Final = 6
_PIECE: Final = 4 << 10  # compressed bytes


class DamagedError(CrossfadeError):
    """Compressed bytes that cannot be read completely."""


class Readable(Protocol):
    """A source of bytes."""

    def read(self, size: int = -1, /) -> bytes: ...


class Writable(Protocol):
    """A destination of bytes."""

    def write(self, data: bytes, /) -> int: ...


class Compressor:
    """Compresses into an open file, as one frame with a checksum of its content; `close()` ends the frame."""

    def __init__(self, file: Writable, level: int = LEVEL) -> None:
        parameters = zstandard.ZstdCompressionParameters.from_level(level, write_checksum=True)
        compressor = zstandard.ZstdCompressor(compression_params=parameters)
        self._writer = compressor.stream_writer(cast(IO[bytes], file), closefd=False)

    def write(self, data: bytes) -> None:
        self._writer.write(data)

    def close(self) -> None:
        self._writer.flush(zstandard.FLUSH_FRAME)


def lines(file: Readable) -> Iterator[bytes]:
    """Yield the lines of a compressed file, without line ends. Raise DamagedError if it is damaged or truncated.

    It is read in small pieces, so that all lines before the damage are still returned.
    """
    decompressor = zstandard.ZstdDecompressor().decompressobj(read_across_frames=True)
    unfinished: list[bytes] = []  # pieces of a line whose end has not been read yet
    while data := file.read(_PIECE):
        try:
            content = decompressor.decompress(data)
        except zstandard.ZstdError as error:
            raise DamagedError(f"it cannot be decompressed: {error}") from error
        first, *rest = content.split(b"\n")
        unfinished.append(first)
        if rest:
            yield b"".join(unfinished)
            yield from rest[:-1]
            unfinished = [rest[-1]]
    if any(unfinished):
        raise DamagedError("its last line is cut short")
