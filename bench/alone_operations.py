"""The operations that `bench.alone_results` measures: large answers, large queries, large bodies; a client for them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

from proxy.wire.velocypack_writer import encode

Answer = tuple[int, bytes, int]  # status, the end of the body, the size of all bodies
_SCAN: Final = "FOR d IN large"
_UNCOMPILED: Final = "LET r = RAND() * 0"
_PACKED: Final = "application/x-velocypack"
_MANY: Final = 10_000_000


class Client:
    """Requests on connections of their own, whose answers are counted and not kept."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def send(
        self,
        method: str,
        target: str,
        body: Any = None,
        *,
        headers: dict[str, str] | None = None,
        kept: int = 4 << 10,
    ) -> Answer:
        """Return status, the end of the answer's body, and its size. kept: bytes of the end."""
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 20)
        lines = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        writer.write(
            b"%s %s HTTP/1.1\r\nhost: x\r\nconnection: close\r\n%scontent-length: %d\r\n\r\n"
            % (method.encode(), target.encode(), lines.encode(), len(data))
            + data
        )
        head = await reader.readuntil(b"\r\n\r\n")
        size, end = 0, b""
        while piece := await reader.read(1 << 18):
            size += len(piece)
            end = (end + piece)[-kept:]
        writer.close()
        return int(head.split()[1]), end, size

    async def query(self, text: str, *, headers: dict[str, str] | None = None, **body: Any) -> Answer:
        """Run a query and drain its cursor."""
        request = {"query": text, **body}
        status, end, size = await self.send("POST", "/_api/cursor", request, headers=headers, kept=1 << 12)
        whole = size
        while status < 300 and b'"hasMore":true' in end:
            tail = end[end.rindex(b'"hasMore"') :]
            identifier = tail.partition(b'"id":"')[2].partition(b'"')[0].decode()
            status, end, size = await self.send("POST", f"/_api/cursor/{identifier}", headers=headers, kept=1 << 12)
            whole += size
        return status, end, whole


Operation = Callable[[Client], Awaitable[Answer]]


def operations(number: int) -> dict[str, Operation]:
    """Return the operations by name, in their order. number: of documents in the collection `large`."""
    return _results(number) | _bodies(number) | _within_transactions(number) | _modifications(number)


def _query(text: str, **body: Any) -> Operation:
    return lambda client: client.query(text, **body)


def _send(method: str, target: str, body: Any = None, **options: Any) -> Operation:
    async def run(client: Client) -> Answer:
        return await client.send(method, target, await _made(body), **options)

    return run


async def _made(body: Any) -> Any:
    """Return a body that is made when it is needed, in a thread: clients that wait beside it are measured."""
    return await asyncio.to_thread(body) if callable(body) else body


def _results(number: int) -> dict[str, Operation]:
    keys = [f"k{one}" for one in range(number)]
    return {
        "all documents, default batches": _query(f"{_SCAN} RETURN d"),
        "all documents, one batch": _query(f"{_SCAN} RETURN d", batchSize=_MANY),
        "all documents, count and fullCount": _query(
            f"{_SCAN} LIMIT {number} RETURN d", count=True, options={"fullCount": True}, batchSize=number
        ),
        "all documents, stream": _query(f"{_SCAN} RETURN d", stream=True),
        "all documents, stream in one batch": _query(f"{_SCAN} RETURN d", stream=True, batchSize=_MANY),
        "10,000,000 numbers, one batch": _query("FOR i IN 1..10000000 RETURN i", batchSize=_MANY),
        "/_api/simple/all": _send("PUT", "/_api/simple/all", {"collection": "large", "batchSize": number}),
        "/_api/simple/by-example": _send(
            "PUT", "/_api/simple/by-example", {"collection": "large", "example": {"kind": 1}, "batchSize": number}
        ),
        "PUT /_api/document?onlyget": _send("PUT", "/_api/document/large?onlyget=true", keys),
        "/_api/simple/lookup-by-keys": _send(
            "PUT", "/_api/simple/lookup-by-keys", {"collection": "large", "keys": keys}
        ),
        "/_api/collection/c/checksum, withData": _send("GET", "/_api/collection/large/checksum?withData=true"),
        "/_api/collection/c/figures": _send("GET", "/_api/collection/large/figures?details=true"),
        "/_api/edges": _send("GET", "/_api/edges/edges?vertex=large/k0"),
        "evaluated: FILTER": _query(f"{_SCAN} {_UNCOMPILED} FILTER d.n >= r RETURN d", batchSize=number),
        "evaluated: SORT": _query(f"{_SCAN} {_UNCOMPILED} SORT d.other + r DESC RETURN d", batchSize=number),
        "evaluated: COLLECT": _query(
            f"{_SCAN} {_UNCOMPILED} COLLECT k = d.n + r AGGREGATE m = MAX(d.other) RETURN [k, m]"
        ),
        "evaluated: SLEEP": _query(f"{_SCAN} LET s = d.n == 7 ? SLEEP(0.01) : 0 RETURN d", batchSize=number),
        "all documents, one batch, VelocyPack": _query(
            f"{_SCAN} RETURN d", batchSize=_MANY, headers={"accept": _PACKED}
        ),
    }


def _bodies(number: int) -> dict[str, Operation]:
    """Return operations with bodies of as many bytes as half of the collection."""
    packed = {"content-type": _PACKED}
    path, documents = "/_api/document/bodies", number * 2
    query = "FOR d IN @docs INSERT d INTO bodies"
    return {
        "POST of an array": _send("POST", path, lambda: _array(documents)),
        "PATCH of an array of VelocyPack": _send("PATCH", path, lambda: _packed_array(documents), headers=packed),
        "import of VelocyPack": _send(
            "POST",
            "/_api/import?collection=bodies&type=array&onDuplicate=replace",
            lambda: _packed_array(documents),
            headers=packed,
        ),
        "PATCH of an array, returnOld, returnNew, VelocyPack": _send(
            "PATCH",
            f"{path}?returnOld=true&returnNew=true",
            lambda: _packed_array(documents),
            headers=packed | {"accept": _PACKED},
        ),
        "DELETE of an array": _send("DELETE", path, lambda: _array(documents)),
        "AQL with an array of 20 MB": _send(
            "POST",
            "/_api/cursor",
            lambda: b'{"query":"%b","bindVars":{"docs":%b}}' % (query.encode(), _array(documents // 5)),
        ),
        "AQL with an array of 100 MB": _send(
            "POST",
            "/_api/cursor",
            lambda: b'{"query":"%b","bindVars":{"docs":%b}}' % (query.encode(), _array(documents)),
        ),
        "AQL text of 20 MB": _send("POST", "/_api/cursor", lambda: b'{"query":"RETURN [%b]"}' % (b"1," * 10_000_000)),
    }


def _array(documents: int) -> bytes:
    return b"[%b]" % b",".join(json.dumps(one).encode() for one in _documents(documents))


def _packed_array(documents: int) -> bytes:
    return encode(list(_documents(documents)))


def _documents(number: int) -> Iterator[dict[str, Any]]:
    """Yield documents of 500 bytes."""
    for one in range(number):
        yield {"_key": f"b{one}", "n": one, "text": "x" * 60, "list": ["y" * 40] * 9}


def _within_transactions(number: int) -> dict[str, Operation]:
    path = "/_api/document/bodies"
    names = {"write": ["bodies", "large"], "read": ["edges"]}

    def within(*parts: tuple[str, str, Any]) -> Operation:
        async def run(client: Client) -> Answer:
            bodies = [await _made(body) for _, _, body in parts]  # a transaction is not idle for long
            _, end, _ = await client.send("POST", "/_api/transaction/begin", {"collections": names})
            identifier = json.loads(end)["result"]["id"]
            whole, headers = 0, {"x-arango-trx-id": identifier}
            try:
                for (method, target, _), body in zip(parts, bodies, strict=True):
                    status, end, size = await client.send(method, target, body, headers=headers)
                    whole += size
            finally:
                await client.send("DELETE", f"/_api/transaction/{identifier}")
            return status, end, whole

        return run

    example = {"collection": "large", "example": {"kind": 1}}
    keys = [f"k{one}" for one in range(number)]
    scan = {"query": f"{_SCAN} RETURN d", "batchSize": number}
    change = {"query": f"{_SCAN} UPDATE d WITH {{kind: 5}} IN large RETURN NEW", "batchSize": number}
    sleeping = {"query": f"{_SCAN} LET s = d.n == 7 ? SLEEP(0.01) : 0 RETURN d", "batchSize": number}
    found = {
        "POST of an array": ("POST", path, lambda: _array(number * 2)),
        "import": ("POST", "/_api/import?collection=bodies&type=array", lambda: _array(number * 2)),
        "all documents": ("POST", "/_api/cursor", scan),
        "/_api/simple/all": ("PUT", "/_api/simple/all", {"collection": "large", "batchSize": number}),
        "/_api/simple/by-example": ("PUT", "/_api/simple/by-example", {**example, "batchSize": number}),
        "/_api/simple/lookup-by-keys": ("PUT", "/_api/simple/lookup-by-keys", {"collection": "large", "keys": keys}),
        "onlyget": ("PUT", "/_api/document/large?onlyget=true", keys),
        "/_api/edges": ("GET", "/_api/edges/edges?vertex=large/k0", None),
        "checksum": ("GET", "/_api/collection/large/checksum?withData=true", None),
        "SLEEP": ("POST", "/_api/cursor", sleeping),
        "compiled UPDATE, RETURN NEW": ("POST", "/_api/cursor", change),
        "update-by-example": ("PUT", "/_api/simple/update-by-example", {**example, "newValue": {"kind": 3}}),
        "truncate": ("PUT", "/_api/collection/large/truncate", None),
    }
    return {f"in a transaction: {name}": within(part) for name, part in found.items()}


def _modifications(number: int) -> dict[str, Operation]:
    example = {"collection": "large", "example": {"kind": 1}}
    return {
        "evaluated: UPDATE": _query(f"{_SCAN} {_UNCOMPILED} UPDATE d WITH {{kind: 1 + r}} IN large"),
        "evaluated: UPDATE, RETURN NEW": _query(
            f"{_SCAN} {_UNCOMPILED} UPDATE d WITH {{kind: 1 + r}} IN large RETURN NEW"
        ),
        "evaluated: INSERT": _query(f"{_SCAN} {_UNCOMPILED} INSERT {{text: d.list, r}} INTO copies"),
        "evaluated: UPSERT": _query(
            f"FOR i IN 1..{number} {_UNCOMPILED} UPSERT {{_key: CONCAT('u', i)}} INSERT {{_key: CONCAT('u', i), i}} "
            "UPDATE {n: r} IN copies"
        ),
        "evaluated: REMOVE": _query(f"FOR d IN copies {_UNCOMPILED} FILTER d.i != r - 1 REMOVE d IN copies"),
        "compiled: UPDATE": _query(f"{_SCAN} UPDATE d WITH {{kind: 2}} IN large"),
        "compiled: UPDATE, RETURN NEW": _query(f"{_SCAN} UPDATE d WITH {{kind: 2}} IN large RETURN NEW"),
        "a unique index": _send(
            "POST", "/_api/index?collection=large", {"type": "persistent", "fields": ["n"], "unique": True}
        ),
        "graph: removal of a vertex with its edges": _removed_vertex,
        "/_api/simple/update-by-example": _send(
            "PUT", "/_api/simple/update-by-example", {**example, "example": {"kind": 2}, "newValue": {"kind": 3}}
        ),
        "/_api/simple/remove-by-example": _send(
            "PUT", "/_api/simple/remove-by-example", {**example, "example": {"kind": 3}}
        ),
        "truncate": _send("PUT", "/_api/collection/large/truncate"),
        "drop": _send("DELETE", "/_api/collection/bodies"),
    }


async def _removed_vertex(client: Client) -> Answer:
    definition = {"collection": "edges", "from": ["large"], "to": ["large"]}
    await client.send("POST", "/_api/gharial", {"name": "g", "edgeDefinitions": [definition]})
    return await client.send("DELETE", "/_api/gharial/g/vertex/large/k0")
