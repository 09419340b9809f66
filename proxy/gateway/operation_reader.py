"""Requests of a store: their bodies read, without encoding, within the limit.

A body that is carried out in parts is kept on disk if it is large; the client is read as fast as the disk takes it. All
others are in memory: each up to a limit, and large ones together too, so that further ones wait.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Final

import msgspec

from proxy.base.errors import ArangoError
from proxy.base.spool import SpoolSpace
from proxy.gateway.request_body import ByteSemaphore
from proxy.model.endpoint import WriteRoute
from proxy.model.message import Request
from proxy.model.operations import Operation
from proxy.wire.decode import decode_parts, peek
from proxy.wire.encoding import Decoder, decoded, encoded

_IN_PARTS: Final = (WriteRoute.DOCUMENT, WriteRoute.IMPORT)
_IN_MEMORY: Final = 4 << 20  # bytes
_TOGETHER: Final = 2  # bodies of the greatest size that may be in memory concurrently
_DECODED: Final = 8  # times as many bytes a body may have without its encoding, usually
_WAIT: Final = 30.0  # seconds that a large body waits for memory
_TOO_LARGE: Final = 413


class OperationReader:
    """Reads requests. limit: bytes of a body, decoded.

    spools: keeps bodies of more than `in_memory` bytes that are carried out in parts; None: all are in memory.
    whole: bytes of a body that must be in memory; None: as many as of any body.
    """

    def __init__(
        self,
        limit: int,
        spools: SpoolSpace | None = None,
        *,
        in_memory: int = _IN_MEMORY,
        whole: int | None = None,
    ) -> None:
        self._limit = limit
        self._spools = spools
        self._in_memory = in_memory
        self._whole = limit if whole is None else min(whole, limit)
        self._room = None if whole is None else ByteSemaphore(_TOGETHER * whole)

    def room(self, request: Request) -> AbstractAsyncContextManager[None] | None:
        """Return a context that waits until memory has room for the request's body; None if it needs no wait.

        It raises ArangoError (503) if there is none in time.
        """
        if self._room is None:
            return None
        size = self._declared(request)
        if encoded((request.header(b"content-encoding") or b"").decode("latin-1")):
            size *= _DECODED
        if size <= self._in_memory or peek(request.method, request.target).write_route in _IN_PARTS:
            return None
        return self._room.taken(min(size, self._whole), _WAIT)

    def _declared(self, request: Request) -> int:
        if isinstance(request.body, bytes):
            return len(request.body)
        length = request.header(b"content-length")
        return int(length) if length is not None and length.isdigit() else self._whole

    async def read(self, request: Request) -> Operation:
        """Return the operation. Raise ArangoError 9, 10, 32, 413; Unsupported; what the stream of the body raises."""
        if request.header(b"transfer-encoding") is not None:
            raise ArangoError(9, "chunked requests are not supported")  # as in ArangoDB, a body must have a length
        body = request.body
        operation = decode_parts(request.method, request.target, request.headers, body, identified=True)
        encoding = operation.headers.get("content-encoding", "") if operation.headers else ""
        if self._spools is not None and _in_parts(operation) and (not isinstance(body, bytes) or encoded(encoding)):
            return await self._on_disk(operation, body, encoding, self._spools)
        document = operation.endpoint.write_route in _IN_PARTS  # a single one
        limit = self._limit if document else self._whole
        if not isinstance(body, bytes):
            if self._declared(request) > limit:
                raise self._too_large(limit)
            body = await self._together(body, limit)
            operation = msgspec.structs.replace(operation, body=body)
        if body and encoding:
            try:
                body = decoded(body, encoding, limit)
            except ArangoError as error:
                raise (self._too_large(limit) if error.number == _TOO_LARGE else error) from error
            return msgspec.structs.replace(operation, body=body)
        return operation

    async def _together(self, stream: AsyncIterator[bytes], limit: int) -> bytes:
        parts: list[bytes] = []
        left = limit
        async for part in stream:
            left -= len(part)
            if left < 0:
                raise self._too_large(limit)
            parts.append(part)
        return b"".join(parts)

    def _too_large(self, limit: int) -> ArangoError:
        """Return the error of a body that has more bytes than `limit`."""
        if limit == self._limit:
            return ArangoError(_TOO_LARGE)
        text = f"a body other than an array of documents or an import has at most {limit} bytes: send several"
        return ArangoError(32, f"resource limit exceeded: {text}")

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
