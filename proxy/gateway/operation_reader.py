"""Requests of a store: their bodies read, without encoding, within the limit.

A body that is carried out in parts is kept on disk if it is large, all others in memory. The client is read as fast as
the disk takes it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import msgspec

from proxy.base.errors import ArangoError
from proxy.base.spool import SpoolSpace
from proxy.model.endpoint import WriteRoute
from proxy.model.message import Request
from proxy.model.operations import Operation
from proxy.wire.decode import decode_parts
from proxy.wire.encoding import Decoder, decoded, encoded

_IN_PARTS: Final = (WriteRoute.DOCUMENT, WriteRoute.IMPORT)
_IN_MEMORY: Final = 4 << 20  # bytes


class OperationReader:
    """Reads requests. limit: bytes of a body, decoded.

    spools: keeps bodies of more than `in_memory` bytes; None: all are in memory.
    """

    def __init__(self, limit: int, spools: SpoolSpace | None = None, *, in_memory: int = _IN_MEMORY) -> None:
        self._limit = limit
        self._spools = spools
        self._in_memory = in_memory

    async def read(self, request: Request) -> Operation:
        """Return the operation. Raise ArangoError 9, 10, 32, 413; Unsupported; what the stream of the body raises."""
        if request.header(b"transfer-encoding") is not None:
            raise ArangoError(9, "chunked requests are not supported")  # as in ArangoDB, a body must have a length
        body = request.body
        operation = decode_parts(request.method, request.target, request.headers, body, identified=True)
        encoding = operation.headers.get("content-encoding", "") if operation.headers else ""
        if self._spools is not None and _in_parts(operation) and (not isinstance(body, bytes) or encoded(encoding)):
            return await self._on_disk(operation, body, encoding, self._spools)
        if not isinstance(body, bytes):
            body = await self._together(body)
            operation = msgspec.structs.replace(operation, body=body)
        if body and encoding:
            return msgspec.structs.replace(operation, body=decoded(body, encoding, self._limit))
        return operation

    async def _together(self, stream: AsyncIterator[bytes]) -> bytes:
        parts: list[bytes] = []
        left = self._limit
        async for part in stream:
            left -= len(part)
            if left < 0:
                raise ArangoError(413)
            parts.append(part)
        return b"".join(parts)

    async def _on_disk(
        self, operation: Operation, body: bytes | AsyncIterator[bytes], encoding: str, spools: SpoolSpace
    ) -> Operation:
        spool, decoder, left = spools.new(), Decoder(encoding, self._limit), self._limit
        async for piece in _single(body) if isinstance(body, bytes) else body:
            left -= len(piece)
            if left < 0:
                raise ArangoError(413)
            for part in decoder.feed(piece):
                spool.append(part)
        decoder.end()
        if spool.size <= self._in_memory:
            return msgspec.structs.replace(operation, body=spool.read(0, spool.size))
        return msgspec.structs.replace(operation, body=b"", large=spool)


def _in_parts(operation: Operation) -> bool:
    """Return True if a large body may be an array of documents or an import."""
    return operation.endpoint.write_route in _IN_PARTS and operation.key is None


async def _single(body: bytes) -> AsyncIterator[bytes]:
    yield body
