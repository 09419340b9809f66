"""The obvious first version of the proxy: the same listener, and one awaited upsert per write, on a pool of ten.

`python -m bench.naive PORT ORIGIN DSN TABLE`.
"""

from __future__ import annotations

import asyncio
import sys

import asyncpg
import msgspec
import uvloop

from proxy.http import Listener, Upstream
from proxy.model.message import Request, Response
from proxy.model.revision import decode_rev

_UPSERT = """
INSERT INTO {table} AS d (key, rev, raw, doc) VALUES ($1, $2, $3::json, _crossfade.queryable($3::json))
ON CONFLICT (key) DO UPDATE SET rev = excluded.rev, raw = excluded.raw, doc = excluded.doc WHERE excluded.rev > d.rev
"""


class _Written(msgspec.Struct):
    key: str = msgspec.field(name="_key")
    rev: str = msgspec.field(name="_rev")


async def serve(port: int, origin: str, dsn: str, table: str) -> None:
    upstream = Upstream(origin)
    pool = await asyncpg.create_pool(dsn, min_size=10, max_size=10)
    statement = _UPSERT.format(table=table)
    decode = msgspec.json.Decoder(_Written).decode

    async def handle(request: Request) -> Response:
        response = await upstream.request(request)
        if request.method == "POST" and response.status < 300:
            assert isinstance(request.body, bytes)
            assert isinstance(response.body, bytes)
            written = decode(response.body)
            raw = f'{{"_key":"{written.key}","_rev":"{written.rev}",{request.body[1:].decode()}'
            await pool.execute(statement, written.key, decode_rev(written.rev), raw)
        return response

    listener = Listener(handle, port=port)
    await listener.start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(int(sys.argv[1]), *sys.argv[2:5]))
