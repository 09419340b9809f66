"""Copies a large collection from the development ArangoDB during live writes, by three workers of which two are killed.

    python -m bench.backfill_big [DOCUMENTS]        (1,000,000, log-uniform 0.3 to 4 KB; and a hundredth of it of 20 KB)

The workers are processes; two of them get SIGKILL at random moments and are restarted. At the end `crossfade verify
--full` must report equality, and so must a comparison that reads both databases directly. Prints counts, times and
rates; exit code 1 if anything differs. Every step has a time limit, and no process outlives it.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import msgspec

from deploy.demo.child import Child
from deploy.demo.db_checks import DocumentTableRow, Target, compare
from deploy.demo.stack import Stack, StackOptions, crossfade

DATABASE, COLLECTION = "bench", "papers"
NAME = f"{DATABASE}/{COLLECTION}"
LARGE = 20_000  # bytes
WRITES = 40.0  # live writes a second
_RUN_STATE = """
SELECT r.state, (SELECT sum(c.documents)::bigint FROM _crossfade.chunk c WHERE c.run = r.id) FROM _crossfade.run r
WHERE r.id = $1
"""
_WORDS = [f"word{n}" for n in range(997)]


def documents(number: int, seed: int) -> Iterator[bytes]:
    """Yield JSON lines: sizes log-uniform between 0.3 and 4 KB, and after every hundredth one more of 20 KB."""
    chance = random.Random(seed)
    for n in range(number):
        yield _document(chance, f"p{n:09}", int(300 * (4000 / 300) ** chance.random()), n)
        if n % 100 == 0:
            yield _document(chance, f"large-{n:09}", LARGE, n)


def _document(chance: random.Random, key: str, size: int, number: int) -> bytes:
    words: list[str] = []
    room = size - 160
    while room > 0:
        words.append(chance.choice(_WORDS))
        room -= len(words[-1]) + 3
    value = {
        "_key": key,
        "number": number,
        "share": number / 7,
        "deep": {"list": [number, {"x": None}]},
        "words": words,
    }
    return json.dumps(value, separators=(",", ":")).encode()


class Http:
    """One persistent connection."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=120)

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        self._connection.request(method, path, body, {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        return answer.status, answer.read()

    def close(self) -> None:
        self._connection.close()


def load(url: str, number: int) -> int:
    """Write directly into ArangoDB, as data from before the migration. Return the number of documents."""
    origin = Http(url)
    origin.ask("POST", "/_db/_system/_api/database", json.dumps({"name": DATABASE}).encode())
    origin.ask("POST", f"/_db/{DATABASE}/_api/collection", json.dumps({"name": COLLECTION}).encode())
    part: list[bytes] = []
    done = 0

    def send() -> None:
        status, answer = origin.ask(
            "POST", f"/_db/{DATABASE}/_api/document/{COLLECTION}?silent=true", b"[" + b",".join(part) + b"]"
        )
        if status not in (201, 202):
            raise RuntimeError(f"ArangoDB accepted no documents: {status} {answer[:200]!r}")

    for line in documents(number, seed=5):
        part.append(line)
        if len(part) == 1000:
            send()
            done += len(part)
            part.clear()
    if part:
        send()
    origin.close()
    return done + len(part)


@dataclass
class Writer:
    """Live writes through the proxy: inserts, updates and removals, until stopped."""

    url: str
    number: int
    written: int = 0
    failed: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Writer:
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        assert self._thread is not None
        self._thread.join()

    def _write(self) -> None:
        proxy = Http(self.url)
        chance = random.Random(9)
        path = f"/_db/{DATABASE}/_api/document/{COLLECTION}"
        step = 0
        while not self._stop.wait(1 / WRITES):
            step += 1
            key = f"p{chance.randrange(self.number):09}"
            if step % 3 == 0:
                status, _ = proxy.ask("POST", path, json.dumps({"_key": f"new{step:07}-{key}", "step": step}).encode())
            elif step % 7 == 0:
                status, _ = proxy.ask("DELETE", f"{path}/{key}")
            else:
                status, _ = proxy.ask("PATCH", f"{path}/{key}", json.dumps({"changed": step}).encode())
            self.written += 1
            if status not in (201, 202, 200, 404):
                self.failed.append(f"{status} for step {step}")
        proxy.close()


async def backfill(stack: Stack, seconds: float) -> tuple[float, int]:
    """Run three worker processes, two of them killed at random and restarted.

    Return seconds, and how many were killed.
    """
    [planned] = json.loads(stack.run("backfill", "plan", NAME, "--workers", "3", "--json"))
    run = planned["run"]
    chance = random.SystemRandom()
    victims = sorted(chance.uniform(0.1, 0.8) * planned["planned"] for _ in range(2))
    workers = [_worker(stack, n, run) for n in range(3)]
    killed = 0
    started = time.monotonic()
    try:
        async with Target.open(stack.dsn) as target:
            while True:
                row = await target.connection.fetchrow(_RUN_STATE, run)
                assert row is not None
                state, documents = row
                if state != "open":
                    if state != "done":
                        raise RuntimeError(f"the backfill {state}: {stack.run('backfill', 'status', NAME)}")
                    return time.monotonic() - started, killed
                if killed < 2 and documents >= victims[killed]:
                    one = chance.randrange(3)
                    workers[one].kill()
                    killed += 1
                    print(f"  killed worker {one} after {documents:,} documents; started again", flush=True)
                    workers[one] = _worker(stack, one, run)
                if time.monotonic() - started > seconds:
                    raise RuntimeError(f"the backfill was not done within {seconds:.0f} s")
                await asyncio.sleep(0.05)
    finally:
        for worker in workers:
            worker.stop()


def _worker(stack: Stack, number: int, run: int) -> Child:
    command = crossfade("backfill", "worker", "--run", str(run), "--workers", "1")
    log = stack.folder / f"worker{number}.log"
    return Child(f"worker {number}", command, log, env=os.environ | stack.environment()).start()


def drained(stack: Stack, seconds: float = 120) -> None:
    """Wait until the mirror has nothing left to apply."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        admin = Http(stack.admin_url)
        backlog = json.loads(admin.ask("GET", "/status")[1]).get("backlog")
        admin.close()
        if backlog == 0:
            return
        time.sleep(0.1)
    raise RuntimeError(f"the mirror was not drained within {seconds:.0f} s")


async def compare_directly(stack: Stack, step: int = 5_000) -> tuple[int, int, list[str]]:
    """Read both databases in windows of keys, without the product; return documents, identical ones, differences."""
    origin = Http(stack.arango_url)
    after, count, identical, different = "", 0, 0, list[str]()
    seen = 0
    async with Target.open(stack.dsn) as target:
        while True:
            query = "FOR d IN @@c FILTER d._key > @after SORT d._key LIMIT @n RETURN d"
            bind = {"@c": COLLECTION, "after": after, "n": step}
            body = json.dumps({"query": query, "bindVars": bind, "batchSize": step}).encode()
            _, answer = await asyncio.to_thread(origin.ask, "POST", f"/_db/{DATABASE}/_api/cursor", body)
            found = _texts(answer)
            last = max(found) if len(found) == step else None
            rows = await target.connection.fetch(
                f'SELECT key, rev, raw::text AS raw, doc::text AS doc FROM "{DATABASE}"."{COLLECTION}" '
                "WHERE raw IS NOT NULL AND key > $1 AND ($2::text IS NULL OR key <= $2)",
                after,
                last,
            )
            stored = {row["key"]: DocumentTableRow(row["raw"], row["doc"], row["rev"]) for row in rows}
            one = compare(NAME, found, stored)
            count, identical, seen = count + one.documents, identical + one.identical, seen + len(stored)
            different += [*one.missing, *one.extra, *one.different]
            if last is None:
                break
            after = last
        held = await target.connection.fetchval(
            f'SELECT count(*) FROM "{DATABASE}"."{COLLECTION}" WHERE raw IS NOT NULL'
        )
    _, answer = origin.ask("GET", f"/_db/{DATABASE}/_api/collection/{COLLECTION}/count")
    origin.close()
    counted = json.loads(answer)["count"]
    if not counted == count == seen == held:
        different.append(f"(counts: ArangoDB {counted}, read {count}; PostgreSQL {held}, read {seen})")
    return count, identical, different


class _Answer(msgspec.Struct):
    result: list[msgspec.Raw]


def _texts(answer: bytes) -> dict[str, str]:
    raws = msgspec.json.decode(answer, type=_Answer).result
    return {json.loads(bytes(raw))["_key"]: bytes(raw).decode() for raw in raws}


def run(number: int) -> bool:
    """Run all steps; return True if all is equal."""
    limit = 120 + number / 500
    with Stack(StackOptions.free(postgres={"fsync": "off", "max_wal_size": "4GB"})) as stack:
        started = time.monotonic()
        count = load(stack.arango_url, number)
        _say(f"loaded {count:,} documents into ArangoDB in {time.monotonic() - started:.1f} s")
        stack.run("mirror", NAME)
        with Writer(stack.url, number) as writer:
            seconds, killed = asyncio.run(backfill(stack, limit))
            _say(f"backfilled in {seconds:.1f} s, {count / seconds:,.0f} documents/s, {killed} workers killed")
        _say(f"{writer.written:,} live writes meanwhile, {len(writer.failed)} failed {writer.failed[:3]}")
        drained(stack)
        started = time.monotonic()
        report = _verify(stack)
        seconds = time.monotonic() - started
        rate = report["checked"] / seconds
        _say(f"verify --full: {report['checked']:,} checked, {report['differences']} differ, {rate:,.0f} documents/s")
        started = time.monotonic()
        compared, identical, different = asyncio.run(compare_directly(stack))
        seconds = time.monotonic() - started
        _say(f"read directly: {compared:,} documents, {identical:,} the same to the byte, in {seconds:.1f} s")
        good = report["differences"] == 0 and report["checked"] == compared and not different and not writer.failed
        _say("equal" if good else f"NOT EQUAL: {different[:20]}")
        if killed < 2:
            _say("two workers should have been killed: take more documents")
        return good and killed == 2


def _say(text: str) -> None:
    print(text, flush=True)


def _verify(stack: Stack) -> dict[str, Any]:
    command = crossfade("verify", NAME, "--full", "--processes", "2", "--workers", "2", "--json")
    done = subprocess.run(
        command,
        env=os.environ | stack.environment(),
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    with contextlib.suppress(json.JSONDecodeError, IndexError, KeyError, TypeError):
        result: dict[str, Any] = json.loads(done.stdout)[0]["result"]
        if "checked" in result:
            return result
    raise RuntimeError(f"verify ended with {done.returncode}: {done.stdout}{done.stderr}")


def main() -> None:
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    sys.exit(0 if run(number) else 1)


if __name__ == "__main__":
    main()
