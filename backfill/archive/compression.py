"""zstandard: the only module that imports it. Files of JSON Lines, written and read as streams."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Final, Protocol, cast

import zstandard

from proxy.base.errors import CrossfadeError

LEVEL: Final = 6
_PIECE: Final = 4 << 10  # compressed bytes


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
    """The lines of a compressed file, without their ends. Raises DamagedError where it is damaged or cut short.

    Little is read at a time, so that whatever comes before the damage is still told.
    """
    decompressor = zstandard.ZstdDecompressor().decompressobj(read_across_frames=True)
    begun: list[bytes] = []  # pieces of a line whose end is still to come
    while data := file.read(_PIECE):
        try:
            content = decompressor.decompress(data)
        except zstandard.ZstdError as error:
            raise DamagedError(f"it cannot be decompressed: {error}") from error
        first, *rest = content.split(b"\n")
        begun.append(first)
        if rest:
            yield b"".join(begun)
            yield from rest[:-1]
            begun = [rest[-1]]
    if any(begun):
        raise DamagedError("its last line is cut short")
