"""The state of one server: databases, collections, clock, ticks, cursors, transactions, jobs, the write-ahead log."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from proxy.aql.functions.misc import SERVER_VERSION
from proxy.base.errors import ArangoError
from proxy.devserver.store.accounts import Accounts
from proxy.devserver.store.collection import DOCUMENTS, Collection
from proxy.devserver.store.log import Log
from proxy.model.documents import normalized
from proxy.model.operations import Operation, Outcome
from proxy.model.revision import Clock

if TYPE_CHECKING:
    from proxy.devserver.store.cursors import Cursor
    from proxy.devserver.store.jobs import Job
    from proxy.devserver.store.replication import Batch, Dump
    from proxy.devserver.store.sleeping import Running
    from proxy.devserver.store.transactions import Transaction

Handler = Callable[["Server", Operation], Outcome]
_SYSTEM_COLLECTIONS: Final = (
    "_analyzers",
    "_appbundles",
    "_apps",
    "_aqlfunctions",
    "_frontend",
    "_graphs",
    "_jobs",
    "_queues",
)
VERSION: Final = SERVER_VERSION
_FIRST_TICK: Final = 100_000
_CALLS: Final = 500  # requests that are remembered


class Database:
    """Collections by name. A number finds one too, as in ArangoDB before 4.0."""

    def __init__(self, name: str, number: int) -> None:
        self.name = name
        self.id = str(number)
        self.collections: dict[str, Collection] = {}

    def known(self, name: str) -> Collection | None:
        """The collection of that name or number."""
        found = self.collections.get(name)
        if found is None and name.isdigit():
            found = next((c for c in self.collections.values() if c.id == name), None)
        return found

    def find(self, name: str) -> Collection:
        """Raises ArangoError 1203."""
        found = self.known(name)
        if found is None:
            raise ArangoError(1203, f"collection or view not found: {name}")
        return found


class Server:
    """Everything that a development ArangoDB server keeps. One event loop, no locks: each request runs through.

    now: seconds since the epoch, for times of life; clock: revisions.
    """

    def __init__(self, clock: Clock | None = None, now: Callable[[], float] = time.time) -> None:
        self.clock = clock or Clock()
        self.now = now
        self.id = str(secrets.randbelow(1 << 46) + 1)
        self.guid = f"h{secrets.randbelow(1 << 46):012X}"
        self.started = now()
        self._tick = _FIRST_TICK
        self.databases: dict[str, Database] = {}
        self.cursors: dict[str, Cursor] = {}
        self.transactions: dict[str, Transaction] = {}
        self.jobs: dict[str, Job] = {}
        self.batches: dict[str, Batch] = {}
        self.dumps: dict[str, Dump] = {}
        self.accounts = Accounts(secrets.token_bytes(32))
        self.settings: dict[str, dict[str, Any]] = {}  # what clients may set and read again, by what it is about
        # while a request is tried that may be tried again: what meets a lock then raises, and has written nothing
        self.patient = False
        # queries that sleep, by number; and the one that is evaluated now, where it has slept before
        self.running: dict[str, Running] = {}
        self.resumed: Running | None = None
        self.slow: list[dict[str, Any]] = []  # queries that took long, as they are shown
        # the latest requests: when, method, database, path
        self.calls: deque[tuple[float, str, str, tuple[str, ...]]] = deque(maxlen=_CALLS)
        self._waiting: set[asyncio.Event] = set()
        self.log = Log(self.tick)
        self.add_database("_system")

    def tick(self) -> int:
        """The server's next number: ids, keys, ticks."""
        self._tick += 1
        return self._tick

    @property
    def last_tick(self) -> int:
        return self._tick

    def raise_tick(self, number: int) -> None:
        """From now on only numbers above that one (after a snapshot was loaded)."""
        self._tick = max(self._tick, number)

    def wake(self) -> None:
        """Locks are gone: whoever waits looks again."""
        for event in self._waiting:
            event.set()

    async def unlocked(self, seconds: float) -> None:
        """Waits until some lock is gone, but no longer than that."""
        event = asyncio.Event()
        self._waiting.add(event)
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            pass
        finally:
            self._waiting.discard(event)

    def add_database(self, name: str) -> Database:
        database = Database(name, 1 if name == "_system" else self.tick())
        self.databases[name] = database
        for system in (*_SYSTEM_COLLECTIONS, *(("_users",) if name == "_system" else ())):
            self.add_collection(database, system, DOCUMENTS, {})
        return database

    def add_collection(self, database: Database, name: str, kind: int, properties: dict[str, Any]) -> Collection:
        created = Collection(
            self.tick(), name, kind, properties, tick=self.tick, clock=self.clock, seen=self._changed(database)
        )
        database.collections[name] = created
        return created

    def database(self, operation: Operation) -> Database:
        """The database of an operation. Raises ArangoError 1228, 1208."""
        found = self.databases.get(operation.database)
        if found is None:
            if not normalized(operation.database):
                raise ArangoError(1208, "database name is not properly UTF-8 NFC-normalized")
            raise ArangoError(1228)
        return found

    def collections(self) -> Iterator[tuple[Database, Collection]]:
        for database in self.databases.values():
            for collection in database.collections.values():
                yield database, collection

    def _changed(self, database: Database) -> Callable[[Collection, str, bytes | None, bytes | None], None]:
        def changed(collection: Collection, key: str, raw: bytes | None, old: bytes | None) -> None:
            self.log.document(database.name, f"{self.guid}/{collection.id}", key, raw, old)

        return changed
