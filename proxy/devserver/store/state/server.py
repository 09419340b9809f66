"""The state of one server: databases, collections, clock, ticks, sessions, settings, the write-ahead log."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from proxy.aql.functions.misc import SERVER_VERSION
from proxy.base.errors import ArangoError
from proxy.devserver.store.state.accounts import Accounts
from proxy.devserver.store.state.collection import DOCUMENTS, Collection
from proxy.devserver.store.state.database import ServerDatabase
from proxy.devserver.store.state.log import MarkerLog
from proxy.devserver.store.state.running_query import RunningQuery
from proxy.devserver.store.state.sessions import AsyncJob, Cursor, Dump, ReplicationBatch
from proxy.devserver.store.state.transaction import Transaction
from proxy.model.documents import normalized
from proxy.model.operations import Operation
from proxy.model.own_ids import OwnIds, SessionIds
from proxy.model.revision import Clock

SYSTEM_COLLECTIONS: Final = (
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


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """A request that was answered, as `/_admin/server/api-calls` shows it. time: seconds since the epoch."""

    time: float
    method: str
    database: str
    path: tuple[str, ...]


@dataclass(slots=True, eq=False)
class ServerState:
    """Everything that a development ArangoDB server keeps. One event loop, no locks: each request runs to its end.

    clock: source of revisions; now: seconds since the epoch. settings: what clients may set and read again, by subject.
    ids: those of cursors, jobs and transactions.
    patient: the present request may be tried again, so that what meets a lock raises LockedError and has written
    nothing. running: queries that sleep, by number; resumed: the one among them that is evaluated now.
    """

    clock: Clock = field(default_factory=Clock)
    now: Callable[[], float] = time.time
    id: str = field(default_factory=lambda: str(secrets.randbelow(1 << 46) + 1))
    guid: str = field(default_factory=lambda: f"h{secrets.randbelow(1 << 46):012X}")
    databases: dict[str, ServerDatabase] = field(default_factory=dict)
    cursors: dict[str, Cursor] = field(default_factory=dict)
    transactions: dict[str, Transaction] = field(default_factory=dict)
    jobs: dict[str, AsyncJob] = field(default_factory=dict)
    batches: dict[str, ReplicationBatch] = field(default_factory=dict)
    dumps: dict[str, Dump] = field(default_factory=dict)
    accounts: Accounts = field(default_factory=lambda: Accounts(secrets.token_bytes(32)))
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    patient: bool = False
    running: dict[str, RunningQuery] = field(default_factory=dict)
    resumed: RunningQuery | None = None
    slow: list[dict[str, Any]] = field(default_factory=list)  # slow queries, as they are shown
    calls: deque[RecordedCall] = field(default_factory=lambda: deque(maxlen=_CALLS))
    ids: SessionIds = field(default_factory=SessionIds)
    started: float = field(init=False)
    log: MarkerLog = field(init=False)
    last_tick: int = field(init=False, default=_FIRST_TICK)
    _waiting: set[asyncio.Event] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        self.started = self.now()
        self.log = MarkerLog(self.tick)
        self.add_database("_system")

    def tick(self) -> int:
        """Return the server's next number: ids, keys and ticks come from one sequence."""
        self.last_tick += 1
        return self.last_tick

    def identifier(self, ids: OwnIds | None) -> str:
        """Return the id of a new cursor, job or transaction. ids: of its kind, from `self.ids`."""
        return str(self.tick()) if ids is None else ids.make()

    def raise_tick(self, number: int) -> None:
        """Continue with numbers above that one, after a snapshot was loaded."""
        self.last_tick = max(self.last_tick, number)

    def wake(self) -> None:
        """Let every request that waits for a lock try again: locks were released."""
        for event in self._waiting:
            event.set()

    async def unlocked(self, seconds: float) -> None:
        """Wait until some lock is released, but at most that many seconds."""
        event = asyncio.Event()
        self._waiting.add(event)
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            pass
        finally:
            self._waiting.discard(event)

    def add_database(self, name: str) -> ServerDatabase:
        """Create a database with its system collections."""
        database = ServerDatabase(name, "1" if name == "_system" else str(self.tick()))
        self.databases[name] = database
        for system in (*SYSTEM_COLLECTIONS, *(("_users",) if name == "_system" else ())):
            self.add_collection(database, system, DOCUMENTS, {})
        return database

    def add_collection(self, database: ServerDatabase, name: str, kind: int, properties: dict[str, Any]) -> Collection:
        """Create a collection whose changes go to the log."""
        created = Collection(
            self.tick(), name, kind, properties, tick=self.tick, clock=self.clock, changed=self._logger(database)
        )
        database.collections[name] = created
        return created

    def database(self, operation: Operation) -> ServerDatabase:
        """Return the database of an operation. Raise ArangoError 1228, 1208."""
        found = self.databases.get(operation.database)
        if found is None:
            if not normalized(operation.database):
                raise ArangoError(1208, "database name is not properly UTF-8 NFC-normalized")
            raise ArangoError(1228)
        return found

    def collections(self) -> Iterator[tuple[ServerDatabase, Collection]]:
        """Yield every collection of every database."""
        for database in self.databases.values():
            for collection in database.collections.values():
                yield database, collection

    def _logger(self, database: ServerDatabase) -> Callable[[Collection, str, bytes | None, bytes | None], None]:
        def changed(collection: Collection, key: str, raw: bytes | None, old: bytes | None) -> None:
            self.log.document(database.name, f"{self.guid}/{collection.id}", key, raw, old)

        return changed
