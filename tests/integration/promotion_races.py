"""Promotions and demotions of one collection while every statement that they fence runs, on a real PostgreSQL.

Six writers: four whose writes PostgreSQL decides, the mirror of writes that ArangoDB took, and a verification whose
repairs run at any time. The writer changes at random moments; two appliers of the outbox take the lease from each
other. All SQL is the product's (sql/queries/writes.sql, documents.sql, outbox.sql, promotion.sql, and their functions);
`Mutant` removes a rule from it. ArangoDB is a dictionary, of which each access is atomic.

Violations: a write that is committed after a change of the writer that it did not see; a push that reaches ArangoDB
when it takes the writes again; databases that differ when the writer changes to ArangoDB or from it; a revision given
twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import asyncpg

import sql
from proxy.model.revision import encode_rev
from sql.statement import Statement
from tests.integration.target_fixtures import raw_of

COLLECTION: Final = "_system/c"
KEYS: Final = ("a", "b", "c", "d", "e", "f")
PROMOTED_WRITERS: Final = 4
_TABLES: Final = """
CREATE TABLE writer_change (version bigint PRIMARY KEY, writer text NOT NULL, before bigint NOT NULL);
CREATE TABLE write_log (version bigint NOT NULL, writer text NOT NULL, key text NOT NULL, rev bigint);
INSERT INTO writer_change VALUES (1, 'origin', 0);
"""
_LOG: Final = "INSERT INTO write_log SELECT max(version), $1, $2, $3 FROM writer_change"
_CHANGED: Final = """
INSERT INTO writer_change
SELECT v.last + 1, $1, (SELECT count(*) FROM write_log WHERE version = v.last)
FROM (SELECT max(version) AS last FROM writer_change) v
"""
_BEHIND: Final = """
SELECT (SELECT count(*) FROM write_log l JOIN writer_change c USING (version) WHERE l.writer <> c.writer)
    + coalesce((SELECT sum(abs(n.before - (SELECT count(*) FROM write_log l WHERE l.version = n.version - 1)))
                FROM writer_change n WHERE n.version > 1), 0)
"""
_TWICE: Final = """
SELECT count(*) FROM (
    SELECT FROM write_log WHERE writer = 'target' AND rev IS NOT NULL GROUP BY rev HAVING count(*) > 1) t
"""

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


@dataclass(frozen=True, slots=True)
class Mutant:
    """What replaces a part of the product's SQL. promoted, forward: the lock of the row that states the writer."""

    promoted: str = "FOR SHARE OF f"
    forward: str = "FOR SHARE"
    forward_tests_writer: bool = True

    def forward_text(self, statement: Statement[str], relation: str) -> str:
        text = statement.on(relation).text
        if self == Mutant():
            return text
        tested = "AND writer = 'origin' FOR SHARE"
        assert tested in text
        return text.replace(tested, "AND writer = 'origin' " * self.forward_tests_writer + self.forward)


@dataclass
class Arangodb:
    """documents: key -> revision. clock: the newest revision. token: in the fence document, which a push locks."""

    documents: dict[str, int] = field(default_factory=dict)
    clock: int = 1000
    token: int = 0
    fence: asyncio.Lock = field(default_factory=asyncio.Lock)


async def _pause(dice: random.Random, most: float) -> None:
    """Wait at most so many seconds, and sometimes much longer."""
    await asyncio.sleep(dice.random() * most * (8 if dice.random() < 0.1 else 1))


class Race:
    """One history on a database. seed: of what happens; the interleaving is the machine's."""

    def __init__(self, dsn: str, relation: str, mutant: Mutant, seed: int) -> None:
        self._dsn, self._relation, self._mutant, self._seed = dsn, relation, mutant, seed
        self._arangodb = Arangodb()
        self._hold = False  # the mirror begins no write
        self._idle = asyncio.Event()  # it has none under way
        self._idle.set()
        self._origin_writes = True
        self._ended = False
        self.wrong: list[str] = []
        self.counts: dict[str, int] = {}

    async def run(self, changes: int) -> None:
        """Let the writer change at most so many times, or until something is wrong."""
        async with self._connected() as connection:
            await connection.execute(_TABLES)
            text = await connection.fetchval("SELECT pg_get_functiondef('_crossfade.begin_write'::regproc)")
            await connection.execute(text.replace("FOR SHARE OF f", self._mutant.promoted))
            # not in the transaction that changes the writer: it locks the table, on which the statements that wait for
            # the writer have a lock already
            await connection.execute("SELECT _crossfade.keep_count($1)", self._relation)
        async with asyncio.TaskGroup() as tasks:
            for number in range(PROMOTED_WRITERS):
                tasks.create_task(self._promoted_writer(random.Random(self._seed * 100 + number)))
            tasks.create_task(self._mirror(random.Random(self._seed * 100 + 50)))
            tasks.create_task(self._verification(random.Random(self._seed * 100 + 60)))
            for name in ("one", "two"):
                tasks.create_task(self._applier(name, random.Random(f"{self._seed} {name}")))
            tasks.create_task(self._changer(random.Random(self._seed), changes))
        async with self._connected() as connection:
            await self._judge(connection)

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[Connection]:
        connection = await asyncpg.connect(self._dsn)
        try:
            yield connection
        finally:
            await connection.close()

    def _count(self, what: str, number: int = 1) -> None:
        self.counts[what] = self.counts.get(what, 0) + number

    # ---- writes that PostgreSQL decides

    async def _promoted_writer(self, dice: random.Random) -> None:
        async with self._connected() as connection:
            while not self._ended:
                async with connection.transaction():
                    written = await self._promoted_write(connection, dice)
                    await _pause(dice, 0.004)
                self._count("promoted writes" if written else "refused by the fence")
                if not written:
                    await asyncio.sleep(0.002)

    async def _promoted_write(self, connection: Connection, dice: random.Random) -> bool:
        key = dice.choice(KEYS)
        row = await connection.fetchrow(sql.writes.BEGIN.text, COLLECTION, [key], 1, "5s", False)
        if row is None:
            return False
        await _pause(dice, 0.002)
        rev = row["revisions"][0]
        removes = row["keys"] is not None and dice.random() < 0.3
        raw = "" if removes else raw_of(COLLECTION, key, rev=encode_rev(rev)).decode()
        statement = sql.writes.CHANGE if row["keys"] is not None else sql.writes.INSERT
        done = await connection.execute(statement.on(self._relation).text, key, str(rev), raw, [None])
        if done.endswith(" 0"):
            return False  # another transaction has inserted the key
        await connection.execute(sql.writes.NOTE.text, COLLECTION, key)
        await connection.execute(_LOG, "target", key, None if removes else rev)
        return True

    # ---- statements that carry what ArangoDB has

    async def _mirror(self, dice: random.Random) -> None:
        """Writes that ArangoDB takes, and then PostgreSQL. It has none under way when the hold is acknowledged."""
        async with self._connected() as connection:
            while not self._ended:
                await _pause(dice, 0.004)
                if self._hold:
                    continue
                self._idle.clear()
                key = dice.choice(KEYS)
                stamp = await connection.fetchval("SELECT era FROM _crossfade.era")
                rev = self._written(key, removes=dice.random() < 0.3)
                if rev:
                    done = await self._forward(connection, sql.documents.UPSERT, key, rev, stamp, dice)
                    while not done:
                        done = await self._repair(connection, key, dice)
                else:
                    while not await self._repair(connection, key, dice):
                        pass
                self._idle.set()

    def _written(self, key: str, *, removes: bool) -> int:
        if removes:
            self._arangodb.documents.pop(key, None)
            return 0
        self._arangodb.clock += 1
        self._arangodb.documents[key] = self._arangodb.clock
        return self._arangodb.clock

    async def _verification(self, dice: random.Random) -> None:
        async with self._connected() as connection:
            while not self._ended:
                await _pause(dice, 0.003)
                await self._repair(connection, dice.choice(KEYS), dice)

    async def _repair(self, connection: Connection, key: str, dice: random.Random) -> bool:
        era = await connection.fetchval(sql.mirror.RAISE_ERA.text)
        stored = await connection.fetchrow(sql.documents.REVISIONS.on(self._relation).text, [key])
        rev = self._arangodb.documents.get(key, 0)
        if rev and stored and stored["alive"] and stored["rev"] == rev:
            return True
        if rev:
            return await self._forward(connection, sql.documents.REPLACE_EQUAL, key, rev, era, dice)
        had = stored["rev"] if stored else 0
        return await self._forward(connection, sql.documents.ABSENT, key, had, era, dice)

    async def _forward(
        self, connection: Connection, statement: Statement[str], key: str, rev: int, stamp: int, dice: random.Random
    ) -> bool:
        text = self._mutant.forward_text(statement, self._relation)
        values: list[object] = [[key], [rev]]
        if statement is not sql.documents.ABSENT:
            values += [[raw_of(COLLECTION, key, rev=encode_rev(rev)).decode()], [None]]
        async with connection.transaction():
            done = await connection.fetch(text, COLLECTION, *values, [stamp])
            if done:
                await connection.execute(_LOG, "origin", key, None)
            await _pause(dice, 0.002)
        self._count("forward writes" if done else "forward statements without effect")
        return bool(done)

    # ---- the reverse mirror

    async def _applier(self, name: str, dice: random.Random) -> None:
        token = None
        async with self._connected() as connection:
            while not self._ended:
                if token is None:
                    token = await connection.fetchval(sql.outbox.TAKE_LEASE.text, 0, name, dice.random() * 0.02)
                    self._count("leases taken", int(token is not None))
                if token is None or not await self._round(connection, token, dice):
                    token = None
                    await _pause(dice, 0.01)

    async def _round(self, connection: Connection, token: int, dice: random.Random) -> bool:
        """Return False if another applier has the lease, as far as this one can see."""
        rows = await connection.fetch(sql.outbox.ROWS.text, 0, 50, 0)
        await _pause(dice, 0.005)
        keys = sorted({row["key"] for row in rows})
        documents = await connection.fetch(sql.outbox.PRESENT.on(self._relation).text, keys, 1 << 20)
        await _pause(dice, 0.005)
        if not rows:
            return dice.random() < 0.7
        arangodb = self._arangodb
        async with arangodb.fence:
            if arangodb.token > token:
                return False
            arangodb.token = token
            await _pause(dice, 0.003)
            if self._origin_writes:
                self.wrong.append("a push reached ArangoDB when it took the writes again")
            for document in documents:
                if document["raw"] is None:
                    arangodb.documents.pop(document["key"], None)
                else:
                    arangodb.documents[document["key"]] = document["rev"]
        self._count("pushes")
        await _pause(dice, 0.003)
        async with connection.transaction():
            gone = await connection.fetch(sql.outbox.CONFIRM.text, 0, token, [row["id"] for row in rows])
            await _pause(dice, 0.005)
        return bool(gone)

    # ---- the changes

    async def _changer(self, dice: random.Random, changes: int) -> None:
        async with self._connected() as connection:
            while self.counts.get("changes", 0) < changes and not self.wrong:
                await _pause(dice, 0.03)
                await self._promote(connection)
                await _pause(dice, 0.06)
                await self._demote(connection)
                await self._judge(connection)
        self._ended = True

    async def _promote(self, connection: Connection) -> None:
        self._hold = True
        await self._idle.wait()
        async with connection.transaction():
            await connection.fetchval(sql.promotion.BEGIN_TAKING.text, [COLLECTION])
            await connection.fetchval(sql.carryover.TAKE_WRITES.text, COLLECTION, self._arangodb.clock, "{}", "0")
            await self._changed(connection, "target")
            self._origin_writes = False
        self._count("changes")

    async def _demote(self, connection: Connection) -> None:
        await connection.execute("UPDATE _crossfade.control SET closing = true")
        async with connection.transaction():
            await connection.fetchval(sql.promotion.WITHHOLD.text, [COLLECTION])
            await connection.execute("UPDATE _crossfade.control SET closing = false")
            await connection.execute(_CHANGED, "none")
        while await connection.fetchval("SELECT count(*) FROM _crossfade.outbox"):
            await asyncio.sleep(0.002)
        revisions = await connection.fetchval("SELECT revisions FROM _crossfade.stamp_floor")
        given = await connection.fetchval(f"SELECT last_value FROM {revisions}")
        self._arangodb.clock = max(self._arangodb.clock, given)
        async with connection.transaction():
            await connection.fetchval(sql.promotion.GIVE_BACK.text, [COLLECTION])
            await self._changed(connection, "origin")
        self._origin_writes = True
        self._count("changes", 2)
        self._hold = False

    async def _changed(self, connection: Connection, writer: str) -> None:
        """Note the change, and compare the databases: no write can come between."""
        await connection.execute(_CHANGED, writer)
        rows = await connection.fetch(f"SELECT key, rev FROM {self._relation} WHERE doc IS NOT NULL")
        if dict(map(tuple, rows)) != self._arangodb.documents:
            self.wrong.append(f"before the writer is {writer}: {rows} are not {self._arangodb.documents}")

    async def _judge(self, connection: Connection) -> None:
        if behind := await connection.fetchval(_BEHIND):
            self.wrong.append(f"{behind} writes committed behind a change")
        if twice := await connection.fetchval(_TWICE):
            self.wrong.append(f"{twice} revisions given twice")
