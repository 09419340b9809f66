"""Stream transactions that the proxies saw, in PostgreSQL: which process began one, and which wrote in it.

A commit must know whether something was written that the proxy which forwards it does not hold. It knows what it began
itself; one that was begun through another proxy, or before a restart, it looks up here:

    no row                      it did not come through a proxy: it may have written anything
    a row, no process wrote     nothing was written: its commit is as harmless as that of an empty one of this process
    another process wrote       that process has the intents, learns the end by asking, and applies them
    lost                        written, and in no process's memory: before a restart, or while nothing was mirrored

Notes are sent every tenth of a second, and no request waits for them (I2), with one exception: while a collection is
flipped the first write in a transaction is noted before it is forwarded, so that a commit through another proxy finds
it. If a process is killed before it sent a note, its journal stands in: whatever was open in a database makes the notes
of that database `lost`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

import structlog

import sql
from proxy.base.database import Database
from proxy.base.errors import DatabaseError, error_label
from proxy.base.supervise import cancelled, supervise

log = structlog.get_logger(__name__)

Name = tuple[str, str]  # database, id
_POST: Final = 0.1  # seconds
NOTED: Final = 2.0  # seconds within which a note of another proxy arrives, if there is one
_FORGET: Final = 3600.0
_AT_ONCE: Final = 1000


@dataclass(frozen=True, slots=True)
class KnownTransaction:
    """The knowledge of all proxies about one transaction, beside what this process holds itself."""

    begun: bool = False
    elsewhere: bool = False
    lost: bool = False

    @property
    def harmless(self) -> bool:
        """True if nothing was written in it but what this process holds."""
        return self.begun and not self.elsewhere and not self.lost


@dataclass(slots=True)
class _Note:
    wrote: bool = False
    lost: bool = False
    posted: bool = False


class TransactionRegistry:
    """Owns the task that posts notes and answers questions; start and close it.

    earlier: databases in which the journal of the process before this one had open intents.
    """

    def __init__(self, database: Database, instance: str, earlier: Callable[[], Collection[str]]) -> None:
        self._database = database
        self._instance = instance
        self._incarnation = uuid.uuid4().hex
        self._earlier = earlier
        self._notes: dict[Name, _Note] = {}
        self._waiting: dict[Name, asyncio.Future[None]] = {}  # until that note is in PostgreSQL
        self._over: list[Name] = []
        self._questions: list[tuple[Name, float, Callable[[KnownTransaction], None]]] = []
        self._something = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(supervise(self._run, "transactions"), name="registry of transactions")

    async def close(self) -> None:
        """Stop, with a last attempt to post; for what is not posted the journal stands in."""
        if self._task is not None:
            await cancelled(self._task)
            self._task = None
            with contextlib.suppress(DatabaseError):
                await self.post()

    # ---- what this process sees

    def begun(self, name: Name) -> None:
        """Note that it was begun through this process."""
        self._note(name)

    def wrote(self, name: Name, *, lost: bool = False, soon: bool = False) -> asyncio.Future[None]:
        """Note that something is about to be written in it; the result is done once PostgreSQL has the note.

        lost: this process will not hold what was written. soon: a request waits for the note.
        """
        note = self._notes.get(name) or self._note(name)
        if note.posted and note.wrote and (note.lost or not lost):
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            done.set_result(None)
            return done
        note.wrote, note.lost, note.posted = True, note.lost or lost, False
        if soon:
            self._something.set()
        waiting = self._waiting.get(name)
        if waiting is None:
            waiting = self._waiting[name] = asyncio.get_running_loop().create_future()
        return waiting

    def noted(self, name: Name) -> bool:
        """Return True if PostgreSQL has what this process noted."""
        note = self._notes.get(name)
        return note is None or note.posted

    def over(self, name: Name) -> None:
        """Remove the note: the transaction has ended."""
        note = self._notes.pop(name, None)
        waiting = self._waiting.pop(name, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(None)
        if note is None or note.posted or note.wrote:
            self._over.append(name)

    def _note(self, name: Name) -> _Note:
        return self._notes.setdefault(name, _Note())

    # ---- what all of them saw

    async def find(self, name: Name) -> KnownTransaction:
        """Return what PostgreSQL has now; try again as long as it is away."""
        while True:
            with contextlib.suppress(DatabaseError):
                return (await self._find([name])).get(name, KnownTransaction())
            await asyncio.sleep(_POST)

    def ask(self, name: Name, tell: Callable[[KnownTransaction], None]) -> None:
        """Call `tell` once there is a note, or it would have arrived by then: for callers that do not wait."""
        self._questions.append((name, time.monotonic() + NOTED, tell))
        self._something.set()

    async def _find(self, names: list[Name]) -> dict[Name, KnownTransaction]:
        rows = await self._database.fetch(
            sql.transactions.FIND,
            [database for database, _ in names],
            [number for _, number in names],
            self._instance,
            self._incarnation,
        )
        return {
            (row.database, row.id): KnownTransaction(begun=True, elsewhere=row.elsewhere, lost=row.lost) for row in rows
        }

    # ---- PostgreSQL

    async def post(self) -> None:
        """Post what waits, and answer questions. Raise DatabaseError, and then keep them."""
        names = [name for name, note in self._notes.items() if not note.posted][:_AT_ONCE]
        if names:
            shown = [(self._notes[name].wrote, self._notes[name].lost) for name in names]
            await self._database.execute(
                sql.transactions.NOTE,
                [database for database, _ in names],
                [number for _, number in names],
                [wrote for wrote, _ in shown],
                [lost for _, lost in shown],
                self._instance,
                self._incarnation,
            )
            for name, before in zip(names, shown, strict=True):
                note = self._notes.get(name)
                if note is not None and (note.wrote, note.lost) == before:
                    note.posted = True
                    waiting = self._waiting.pop(name, None)
                    if waiting is not None and not waiting.done():
                        waiting.set_result(None)
        await self._answer()
        asked = {name for name, _, _ in self._questions}
        over = [name for name in self._over if name not in asked][:_AT_ONCE]
        if over:
            columns = [database for database, _ in over], [number for _, number in over]
            await self._database.execute(sql.transactions.OVER, *columns, self._instance)
            gone = set(over)
            self._over = [name for name in self._over if name not in gone]

    async def _answer(self) -> None:
        if not self._questions:
            return
        asked = self._questions[:_AT_ONCE]
        found = await self._find([name for name, _, _ in asked])
        now = time.monotonic()
        left = []
        for question in asked:
            name, until, tell = question
            if name in found or now >= until:
                tell(found.get(name, KnownTransaction()))
            else:
                left.append(question)
        self._questions[: len(asked)] = left

    async def _run(self) -> None:
        restarted, forgot = False, 0.0
        while True:
            try:
                if not restarted:
                    databases = sorted(self._earlier())
                    await self._database.execute(
                        sql.transactions.RESTARTED, self._instance, self._incarnation, databases
                    )
                    restarted = True
                await self.post()
                if time.monotonic() - forgot > _FORGET:
                    await self._database.execute(sql.transactions.FORGET)
                    forgot = time.monotonic()
            except DatabaseError as error:
                log.debug("transaction_notes_wait", error=error_label(error))
            self._something.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_POST):
                    await self._something.wait()
