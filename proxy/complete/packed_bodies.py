"""Large bodies of VelocyPack: written to disk as JSON, which is then carried out in parts as any other large body."""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec

from proxy.base.spool import SpoolSpace
from proxy.devserver.store.dispatch import with_json
from proxy.model.operations import Operation
from proxy.semantics.large_writes import has_parts, is_packed, whole
from proxy.wire.velocypack_elements import json_elements

_TURN: Final = 32 << 10  # bytes of JSON that are written between two turns of the event loop


async def in_json(operation: Operation, spools: SpoolSpace) -> Operation:
    """Return the request with a body of JSON: in memory unless it can be carried out in parts.

    Raise ArangoError 600; 32 if the spools are full.
    """
    if not has_parts(operation):
        return with_json(whole(operation))
    body = operation.large
    if body is None or not is_packed(operation):
        return operation
    spool, before, size = spools.new(), b"[", 0
    for text in json_elements(body):
        spool.append(before)
        spool.append(text)
        before = b","
        size += len(text)
        if size > _TURN:
            size = 0
            await asyncio.sleep(0)
    spool.append(b"]")
    headers = {name: value for name, value in operation.headers.items() if name != "content-type"}
    return msgspec.structs.replace(operation, headers=headers, large=spool)
