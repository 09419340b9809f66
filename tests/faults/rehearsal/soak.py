"""No false alarm of the rehearsal: `make rehearsal-soak MINUTES=10`. Exits 1 if a write was judged `different`.

Two proxies run as processes, and clients send random writes of every kind through both: documents and arrays with all
their parameters, queries, transactions. They have few keys in common, so that versions race, in collections with
schemas, computed values and unique indexes. The rules are those of the development server: a difference is an alarm.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import orjson

from deploy.demo.postgres import EmbeddedPostgres
from proxy.base.config import load
from proxy.control import controller
from proxy.control.transitions_plan import DesiredState
from proxy.model.stages import Stage
from tests.ad_hoc import Database
from tests.conftest import _create, migrated_template
from tests.faults.environment import Environment, Proxy, fault_environment
from tests.harness import eventually
from tests.property.write_requests import KEYS, Maker, Request, properties, unique_indexes

PROXIES, CLIENTS, COLLECTIONS = 2, 6, 5
_AT_REST: Final = 3.0  # seconds without a new verdict
_PAUSE: Final = 0.002  # seconds between two requests of a client


@dataclass
class Soaked:
    """The result. reasons: why there was no verdict."""

    seconds: float = 0.0
    writes: int = 0
    seen: int = 0
    equal: int = 0
    different: int = 0
    shapes: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    alarms: list[str] = field(default_factory=list)
    failed: Counter[str] = field(default_factory=Counter)

    @property
    def right(self) -> bool:
        """True if there was no alarm, and a good part of the writes was rehearsed."""
        return not self.alarms and not self.different and not self.failed and self.equal > self.seen / 4

    def text(self) -> str:
        reasons = ", ".join(f"{number:,} {reason}" for reason, number in self.reasons.items())
        lines = [
            f"{self.seconds:.0f} s, {PROXIES} proxies, {CLIENTS} clients: {self.writes:,} writes, {self.shapes} shapes",
            f"rehearsed: {self.equal:,} of {self.seen:,} equal, {self.different} different (false alarms)",
            f"no verdict: {reasons or 'none'}",
            *self.alarms[:10],
            *(f"{number} × {what}" for what, number in self.failed.most_common(5)),
        ]
        return "\n".join(lines)


class Soak:
    """One run in an environment."""

    def __init__(self, env: Environment, seed: int) -> None:
        self._env = env
        self._seed = seed
        self._going = True
        self._proxies: list[Proxy] = [env.proxy(f"state{n}", CROSSFADE_REHEARSAL_SHARE="100") for n in range(PROXIES)]
        self.result = Soaked()

    async def run(self, seconds: float) -> Soaked:
        """Run all of it."""
        database = await Database.open(self._env.dsn, size=4)
        began = time.monotonic()
        try:
            await asyncio.gather(*(proxy.supervised() for proxy in self._proxies))
            await self._prepare(database)
            clients = [asyncio.create_task(self._client(number)) for number in range(CLIENTS)]
            await asyncio.sleep(seconds)
            self._going = False
            await asyncio.gather(*clients)
            self.result.seconds = time.monotonic() - began
            await self._count(database)
        finally:
            for proxy in self._proxies:
                if proxy.running:
                    await asyncio.to_thread(proxy.kill)
            await database.close()
        return self.result

    async def _prepare(self, database: Database) -> None:
        rng = random.Random(self._seed)
        async with httpx.AsyncClient(base_url=self._env.origin.url) as direct:
            for number in range(COLLECTIONS):
                definition = properties(rng, f"c{number}")
                (await direct.post("/_api/collection", json=definition)).raise_for_status()
                for index in unique_indexes(rng):
                    await direct.post(f"/_api/index?collection=c{number}", json=index)
        edges = [
            self._env.origin.store.server.databases["_system"].collections[f"c{n}"].edge for n in range(COLLECTIONS)
        ]
        await controller.change(
            database,
            [DesiredState(f"_system/c{n}", Stage.MIRROR, edge=edge) for n, edge in enumerate(edges)],
            settings=load(dsn=self._env.dsn),
            actor="test",
            reason="test",
            timeout=60,
        )

    # ---- traffic

    async def _client(self, number: int) -> None:
        rng = random.Random(self._seed * 100 + number)
        proxy = self._proxies[number % PROXIES]
        stored = self._env.origin.store.server.databases["_system"].collections
        makers = [Maker(rng, f"c{n}", stored[f"c{n}"].documents) for n in range(COLLECTIONS)]
        async with httpx.AsyncClient(base_url=proxy.url, timeout=60) as client:
            while self._going:
                which = rng.randrange(COLLECTIONS)
                if rng.random() < 0.15:
                    await self._query(client, rng, f"c{which}")
                else:
                    await self._send(client, makers[which].request())
                self.result.writes += 1
                await asyncio.sleep(_PAUSE)

    async def _send(self, client: httpx.AsyncClient, request: Request) -> None:
        if "isRestore" in request.target or "overwrite=true&" in request.target.partition("/_api/import")[2]:
            return
        try:
            answer = await client.request(
                request.method, request.target, headers=dict(request.headers), content=request.body.encode()
            )
        except httpx.HTTPError as error:
            self.result.failed[f"{request.method} {type(error).__name__}"] += 1
            return
        if answer.status_code >= 500:
            self.result.failed[f"{request.method} {answer.status_code} {answer.text[:120]}"] += 1

    async def _query(self, client: httpx.AsyncClient, rng: random.Random, name: str) -> None:
        text, binds = rng.choice(
            (
                (f"UPDATE @k WITH {{n: @n, q: {{x: null}}}} IN {name} OPTIONS {{ignoreErrors: true}}", {}),
                (f"FOR d IN {name} FILTER d.n == @n UPDATE d WITH {{q: d.q + 1}} IN {name}", {"k": None}),
                (f"FOR d IN {name} FILTER d._key == @k REPLACE d WITH {{n: @n}} IN {name} RETURN NEW", {}),
                (f"FOR d IN {name} FILTER d._key NOT IN @k FILTER d.n != @n REMOVE d IN {name}", {"k": list(KEYS)}),
                (f"INSERT {{_key: @k, n: @n}} INTO {name} OPTIONS {{overwriteMode: 'update'}}", {}),
                (f"UPSERT {{n: @n}} INSERT {{n: @n, made: 1}} UPDATE {{again: OLD.again + 1}} IN {name}", {"k": None}),
                (f"FOR d IN {name} SORT d._key LIMIT 2 UPDATE d WITH {{first: @n}} IN {name}", {"k": None}),
            )
        )
        values: dict[str, Any] = {"k": rng.choice(KEYS), "n": rng.randrange(4), **binds}
        given = {key: value for key, value in values.items() if value is not None}
        if rng.random() < 0.1:
            await self._transaction(client, name, given)
            return
        body = orjson.dumps({"query": text, "bindVars": given}).decode()
        await self._send(client, Request("POST", "/_api/cursor", body=body))

    async def _transaction(self, client: httpx.AsyncClient, name: str, document: dict[str, Any]) -> None:
        begun = await client.post("/_api/transaction/begin", json={"collections": {"write": [name]}})
        if begun.status_code >= 400:
            return
        identity = begun.json()["result"]["id"]
        headers = (("x-arango-trx-id", identity),)
        target = f"/_api/document/{name}?overwriteMode=replace"
        await self._send(client, Request("POST", target, headers, orjson.dumps({"n": document["n"]}).decode()))
        await client.put(f"/_api/transaction/{identity}")

    # ---- verdicts

    async def _count(self, database: Database) -> None:
        """Wait until no verdict is added any more, and read them."""
        last: tuple[object, float] = (None, time.monotonic())

        async def at_rest() -> bool:
            nonlocal last
            row = await database.fetchrow("SELECT sum(equal + different + no_verdict) AS n FROM _crossfade.write_shape")
            assert row is not None
            if row["n"] != last[0]:
                last = (row["n"], time.monotonic())
            return row["n"] is not None and time.monotonic() > last[1] + _AT_REST

        await eventually(at_rest, "every chosen write has its verdict")
        row = await database.fetchrow(
            "SELECT count(DISTINCT shape) AS shapes, sum(seen) AS seen, sum(equal) AS equal, "
            "sum(different) AS different FROM _crossfade.write_shape"
        )
        assert row is not None
        result = self.result
        result.shapes, result.seen = int(row["shapes"]), int(row["seen"])
        result.equal, result.different = int(row["equal"]), int(row["different"])
        rows = await database.fetch(
            "SELECT reason, sum(number) AS n FROM _crossfade.write_shape_reason GROUP BY 1 ORDER BY 2 DESC"
        )
        result.reasons = {one["reason"]: int(one["n"]) for one in rows}
        found = await database.fetch("SELECT class, paths, keys, seen, samples::text AS s FROM _crossfade.mismatch")
        result.alarms = [
            f"{one['class']} {one['paths']} of {one['keys'][:3]} × {one['seen']}: {one['s'][:3000]}" for one in found
        ]


async def soak(folder: Path, seconds: float, seed: int) -> Soaked:
    """Start an environment, and do one run in it."""
    with EmbeddedPostgres(options={"fsync": "off", "shared_buffers": "64MB"}) as server:
        await migrated_template(server.dsn)
        dsn = await _create(server, "migrated")
        async with fault_environment(server, dsn, folder) as env:
            return await Soak(env, seed).run(seconds)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.rehearsal.soak")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="crossfade-rehearsal-") as folder:
        result = asyncio.run(soak(Path(folder), options.minutes * 60, options.seed))
    print(result.text())
    return 0 if result.right else 1


if __name__ == "__main__":
    sys.exit(main())
