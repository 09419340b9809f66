"""`make soak-api`: sixteen clients do random operations against the proxy while a model keeps the expected documents.

Each answer is checked. At the end the complete content of both databases, read directly, is compared with the model and
with each other, in the shadow and flipped; nothing may differ. With PostgreSQL alone, what the proxy answers takes the
place of ArangoDB. Prints a summary; exits 1 on a difference.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg
import httpx

from deploy.demo.stack import Stack, StackOptions
from tests.acceptance.client import DOCS, EDGES, GRAPH, SHARED, SHARED_KEYS, VERTICES, Client
from tests.acceptance.model import Shelf, plain
from tests.acceptance.moves import MOVES
from tests.harness import differences

COLLECTIONS = (DOCS, VERTICES, EDGES, SHARED)
CLIENTS = 16
STAGES = ("shadow", "flipped", "complete")


@dataclass
class Report:
    """The result of a soak. wrong: every difference, as a sentence; nothing else is a failure."""

    stage: str
    seconds: float
    done: Counter[str]
    wrong: list[str] = field(default_factory=list)
    documents: int = 0
    compared: int = 0
    served: int = 0

    def lines(self) -> list[str]:
        total = sum(self.done.values())
        rate = total / self.seconds if self.seconds else 0.0
        summary = f"{self.stage}: {total} operations in {self.seconds:.0f} s ({rate:.0f}/s), {self.documents} documents"
        kinds = ", ".join(f"{name} {count}" for name, count in sorted(self.done.items()))
        sides = f"reads served by PostgreSQL {self.served}, comparisons in the shadow {self.compared}"
        return [
            summary,
            f"  {kinds}",
            f"  {sides}",
            f"  {len(self.wrong)} differences",
            *(f"  ! {w}" for w in self.wrong[:20]),
        ]


async def prepare(url: str) -> None:
    """Create what the clients work on."""
    async with httpx.AsyncClient(base_url=url, auth=("root", ""), timeout=60) as client:
        for name in (DOCS, SHARED, VERTICES):
            (await client.post("/_api/collection", json={"name": name})).raise_for_status()
        (await client.post("/_api/collection", json={"name": EDGES, "type": 3})).raise_for_status()
        definition = {"collection": EDGES, "from": [VERTICES], "to": [VERTICES]}
        (await client.post("/_api/gharial", json={"name": GRAPH, "edgeDefinitions": [definition]})).raise_for_status()
        shared = [{"_key": key, "n": 0} for key in SHARED_KEYS]
        (await client.post(f"/_api/document/{SHARED}", json=shared)).raise_for_status()


async def soak(
    url: str, *, seconds: float = 0.0, steps: int = 0, clients: int = CLIENTS, seed: int = 1, stage: str = ""
) -> tuple[Report, list[Client]]:
    """Run the clients for `seconds`, or for `steps` each. The report has every difference."""
    started = time.monotonic()
    headers = {"accept-encoding": "identity"}
    limits = httpx.Limits(max_connections=clients * 2)
    async with httpx.AsyncClient(base_url=url, auth=("root", ""), timeout=60, headers=headers, limits=limits) as http:
        workers = [Client(http, number, seed, MOVES) for number in range(clients)]

        async def work(client: Client) -> None:
            while len(client.wrong) < 20:
                over = sum(client.done.values()) >= steps if steps else time.monotonic() - started >= seconds
                if over:
                    return
                await client.step()

        await asyncio.gather(*(work(client) for client in workers))
    done: Counter[str] = Counter()
    for client in workers:
        done.update(client.done)
    report = Report(stage, time.monotonic() - started, done)
    report.wrong = [sentence for client in workers for sentence in client.wrong]
    return report, workers


async def compare(report: Report, workers: Sequence[Client], origin: str, dsn: str) -> None:
    """Compare both databases, read directly, with the model and with each other."""
    await drained(dsn)
    shelves: dict[str, list[Shelf]] = {
        DOCS: [worker.docs for worker in workers],
        VERTICES: [worker.people for worker in workers],
        EDGES: [worker.knows for worker in workers],
    }
    async with httpx.AsyncClient(base_url=origin, auth=("root", ""), timeout=60) as client:
        for name in COLLECTIONS:
            body = {"query": "FOR d IN @@c RETURN d", "bindVars": {"@c": name}, "batchSize": 1_000_000}
            found = {one["_key"]: one for one in (await client.post("/_api/cursor", json=body)).json()["result"]}
            report.documents += len(found)
            for key, shelf in ((key, mine) for mine in shelves.get(name, []) for key in mine.content):
                document = found.pop(key, None)
                if document is None or not shelf.shows(document):
                    report.wrong.append(f"the server has {document} for {name}/{key}, not {shelf.content[key]}")
            if name == SHARED:
                for key in SHARED_KEYS:
                    expected = sum(worker.added[key] for worker in workers)
                    if plain(found.pop(key)) != {"n": expected}:
                        report.wrong.append(f"{name}/{key}: {expected} updates were acknowledged")
            report.wrong += [f"the server has {name}/{key}, which no client wrote" for key in found]
    for name in COLLECTIONS:
        report.wrong += [f"PostgreSQL, {name}: {what}" for what in await differences(origin, dsn, f"_system/{name}")]
    connection = await asyncpg.connect(dsn)
    try:
        for row in await connection.fetch("SELECT collection, class, paths, samples::text FROM _crossfade.mismatch"):
            report.wrong.append(f"the shadow: {row['collection']} {row['class']} {row['paths']} {row['samples'][:800]}")
        report.compared = await connection.fetchval("SELECT coalesce(sum(compared), 0)::int FROM _crossfade.shape")
        for row in await connection.fetch("SELECT collection, reason FROM _crossfade.unverified"):
            report.wrong.append(f"unverified: {row['collection']} {row['reason']}")
    finally:
        await connection.close()


async def drained(dsn: str) -> None:
    """Wait until the proxies' heartbeats report empty backlogs twice."""
    connection = await asyncpg.connect(dsn)
    try:
        limit, empty = time.monotonic() + 60, 0
        while empty < 2 and time.monotonic() < limit:
            await asyncio.sleep(0.6)
            backlog = await connection.fetchval(
                "SELECT coalesce(sum(backlog), 0) FROM _crossfade.instance WHERE stopped_at IS NULL"
            )
            empty = empty + 1 if backlog == 0 else 0
    finally:
        await connection.close()


def served(admin: str) -> int:
    """Return the number of reads that PostgreSQL has served, from the proxy's metrics."""
    lines = [line for line in httpx.get(f"{admin}/metrics").text.splitlines() if 'served_by="target"' in line]
    return int(sum(float(line.split()[-1]) for line in lines if line.startswith("crossfade_requests_total{")))


def play(stage: str, seconds: float, seed: int, clients: int = CLIENTS) -> Report:
    """Run one soak on its own stack."""
    with TemporaryDirectory(prefix="soak-") as folder:
        Path(folder).chmod(0o755)
        with Stack(StackOptions.free(stage=stage, folder=Path(folder) / "stack")) as stack:
            asyncio.run(prepare(stack.url))
            report, workers = asyncio.run(soak(stack.url, seconds=seconds, clients=clients, seed=seed, stage=stage))
            report.served = served(stack.admin_url)
            asyncio.run(compare(report, workers, stack.arango_url or stack.url, stack.dsn))
            return report


def main(arguments: list[str] | None = None) -> int:
    """Run `python -m tests.acceptance.soak --minutes 2`."""
    parser = argparse.ArgumentParser(prog="python -m tests.acceptance.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0, help="of each stage")
    parser.add_argument("--stage", choices=list(STAGES), action="append", help="default: all")
    parser.add_argument("--clients", type=int, default=CLIENTS)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args(arguments)
    sys.stdout.write(f"seed {options.seed}\n")
    good = True
    for stage in options.stage or STAGES:
        report = play(stage, options.minutes * 60, options.seed, options.clients)
        sys.stdout.write("\n".join(report.lines()) + "\n")
        sys.stdout.flush()
        good = good and not report.wrong
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
