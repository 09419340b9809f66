"""Fixtures of the archive's and the report's tests: both databases, the command line in this process, direct reads."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import asyncpg
import httpx
import msgspec
import typer
from typer.testing import CliRunner

import backfill.archive.cli
import backfill.migration_report.cli
import sql
from proxy.devserver.serve import StoreHandler
from proxy.devserver.store import MemoryStore
from proxy.http import HttpLimits, Listener
from proxy.model.documents import to_jsonb
from proxy.model.message import Request, Response
from proxy.model.revision import decode_rev

T = TypeVar("T")

# documents that PostgreSQL, JSON libraries and ArangoDB treat differently
UNUSUAL_DOCUMENTS = [
    b'{"_key":"nul","text":"a\\u0000b","k\\u0000":1}',
    b'{"_key":"zero","n":[-0,0,0.0]}',  # -0.0 is printed as -0, which parsers of JSON read as the integer 0
    b'{"_key":"big","n":[9007199254740993,9223372036854775807,9223372036854775808,18446744073709551615]}',
    b'{"_key":"huge","n":[1e300,1.0,1,1e-7,0.1]}',
    b'{"_key":"escape","text":"\xef\xb7\x90 \xef\xb7\x900 \\ufdd0"}',
    '{"_key":"text","text":"\u2028 \U0001f600 \\n \\" \\\\ é"}'.encode(),
    b'{"_key":"deep","a":{"b":[{"c":[[],{},null,true]}]}}',
]


@dataclass
class BothDatabases:
    """Both databases, and `crossfade` as an operator types it."""

    dsn: str
    origin: str
    environment: dict[str, str] = field(default_factory=dict)

    def crossfade(self, *arguments: str) -> tuple[int, str, str]:
        """Run a command; return exit code, standard output, standard error."""
        app = typer.Typer()
        backfill.archive.cli.register(app)
        backfill.migration_report.cli.register(app)
        app.callback()(lambda: None)  # like the complete command: the name of a subcommand is never optional
        environment = {"CROSSFADE_DSN": self.dsn, "CROSSFADE_ORIGIN": self.origin, "COLUMNS": "200"}
        result = CliRunner().invoke(app, arguments, env={**environment, **self.environment})
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.stdout, result.stderr

    def crossfade_json(self, *arguments: str) -> Any:
        """Run a command with `--json`; return what it printed."""
        return json.loads(self.crossfade(*arguments, "--json")[1])

    # ---- ArangoDB, directly

    def ask(self, method: str, path: str, body: bytes = b"") -> Any:
        answer = httpx.request(method, self.origin + path, content=body, auth=("root", ""), timeout=30)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def create(self, collection: str, *, edge: bool = False) -> None:
        database, _, name = collection.partition("/")
        if database != "_system" and database not in self.ask("GET", "/_api/database")["result"]:
            self.ask("POST", "/_api/database", json.dumps({"name": database}).encode())
        self.ask(
            "POST", f"/_db/{database}/_api/collection", json.dumps({"name": name, "type": 3 if edge else 2}).encode()
        )

    def insert(self, collection: str, *documents: bytes) -> None:
        database, _, name = collection.partition("/")
        results = self.ask("POST", f"/_db/{database}/_api/document/{name}", b"[" + b",".join(documents) + b"]")
        assert not [one for one in results if one.get("error")]

    def documents(self, collection: str) -> dict[str, bytes]:
        """Return ArangoDB's documents as it prints them, read with a cursor."""
        database, _, name = collection.partition("/")
        body = json.dumps({"query": "FOR d IN @@c RETURN d", "bindVars": {"@c": name}, "batchSize": 1_000_000})
        answer = httpx.post(f"{self.origin}/_db/{database}/_api/cursor", content=body, auth=("root", ""), timeout=30)
        raws = msgspec.json.decode(answer.content, type=_Cursor).result
        return {json.loads(bytes(raw))["_key"]: bytes(raw) for raw in raws}

    # ---- PostgreSQL, directly

    def sql(self, statement: str, *values: object) -> list[asyncpg.Record]:
        async def go() -> list[asyncpg.Record]:
            connection = await asyncpg.connect(self.dsn)
            try:
                return list(await connection.fetch(statement, *values))
            finally:
                await connection.close()

        return run(go())

    def relation(self, collection: str) -> str:
        [row] = self.sql("SELECT relation FROM _crossfade.collection WHERE collection = $1", collection)
        return str(row["relation"])

    def rows(self, collection: str) -> dict[str, bytes]:
        """Return Return PostgreSQL's documents as they would be served."""
        found = self.sql(f"SELECT key, raw::text AS raw FROM {self.relation(collection)} WHERE doc IS NOT NULL")
        return {row["key"]: row["raw"].encode() for row in found}

    def copy(self, collection: str, stage: str = "off", edge: bool = False) -> None:
        """Copy the collection into PostgreSQL as the mirror would have done."""
        database, _, name = collection.partition("/")
        self.sql("SELECT _crossfade.ensure_collection($1, $2, $3)", database, name, edge)
        self.sql("UPDATE _crossfade.collection SET stage = $2 WHERE collection = $1", collection, stage)
        documents = self.documents(collection)
        self.sql(
            sql.documents.UPSERT.on(self.relation(collection)).text,
            collection,
            list(documents),
            [decode_rev(json.loads(raw)["_rev"]) for raw in documents.values()],
            [raw.decode() for raw in documents.values()],
            [to_jsonb(raw) for raw in documents.values()],
            [1 << 40] * len(documents),
        )


class _Cursor(msgspec.Struct):
    result: list[msgspec.Raw]


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


@contextlib.contextmanager
def arangodb(*, restores: bool = True) -> Iterator[str]:
    """Run a development ArangoDB in a dedicated thread; yield its URL. restores: it supports `isRestore`."""
    ready = threading.Event()
    loop = asyncio.new_event_loop()
    serve_it = StoreHandler(MemoryStore())
    urls: list[str] = []

    async def handle(request: Request) -> Response:
        if not restores:
            request.target = request.target.replace(b"isRestore=true", b"x=1")
        return await serve_it(request)

    def serve() -> None:
        listener = Listener(handle, host="127.0.0.1", port=0, limits=HttpLimits())
        loop.run_until_complete(listener.start())
        urls.append(f"http://127.0.0.1:{listener.port}")
        ready.set()
        loop.run_forever()
        loop.run_until_complete(listener.close(0.1))
        loop.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        assert ready.wait(30)
        yield urls[0]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
