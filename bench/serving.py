"""`python -m bench.serving DSN`: the product's read path from PostgreSQL, behind the proxy's listener, as a process.

Prints its port; ends when standard input is closed.
"""

from __future__ import annotations

import asyncio
import sys

import uvloop

from proxy.devserver.serve import StoreHandler
from proxy.http import HttpLimits, Listener
from proxy.stores.postgres import PostgresStore
from tests.ad_hoc import Database


async def main(dsn: str) -> None:
    """Serve until standard input is closed."""
    database = await Database.open(dsn, size=4, reset=False)
    store = PostgresStore(database)
    listener = Listener(StoreHandler(store), host="127.0.0.1", port=0, limits=HttpLimits())
    await listener.start()
    print(listener.port, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await listener.close(1.0)
    await store.close()
    await database.close()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
