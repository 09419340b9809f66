"""zstandard: the only module that imports it. Files of JSON Lines, written and read as streams."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import IO, Final, Protocol, cast

import zstandard

from proxy.errors import CrossfadeError

LEVEL: Final = 6
_BUFFER: Final = 1 << 20


class DamagedError(CrossfadeError):
    """Compressed bytes that cannot be read to their end."""


class Readable(Protocol):
    """A source of bytes."""

    def read(self, size: int = -1, /) -> bytes: ...


class Writable(Protocol):
    """Takes bytes."""

    def write(self, data: bytes, /) -> int: ...


class Compressor:
    """Writes compressed bytes into an open file, as one frame with a checksum of its content; `close()` ends it."""

    def __init__(self, file: Writable, level: int = LEVEL) -> None:
        parameters = zstandard.ZstdCompressionParameters.from_level(level, write_checksum=True)
        compressor = zstandard.ZstdCompressor(compression_params=parameters)
        self._writer = compressor.stream_writer(cast(IO[bytes], file), closefd=False)

    def write(self, data: bytes) -> None:
        self._writer.write(data)

    def close(self) -> None:
        self._writer.flush(zstandard.FLUSH_FRAME)


def lines(file: Readable) -> Iterator[bytes]:
    """The lines of a compressed file, without their ends. Raises DamagedError where it is damaged or cut short."""
    reader = zstandard.ZstdDecompressor().stream_reader(
        cast(IO[bytes], file), read_across_frames=True, read_size=_BUFFER, closefd=False
    )
    try:
        for line in io.BufferedReader(reader, _BUFFER):
            if line[-1:] != b"\n":
                raise DamagedError("its last line is cut short")
            yield line[:-1]
    except zstandard.ZstdError as error:
        raise DamagedError(f"it cannot be decompressed: {error}") from error
