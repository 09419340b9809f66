"""Indexes of PostgreSQL for the indexes that clients create: compiled queries and the removal of expired documents use
them. They are never needed for a right answer, so they are made beside running writes, and later than the client's.

    unique       one that a collection brought from ArangoDB; those that clients create exist already
    persistent   the order of its last field after equality of the others, and equality of any attribute
    ttl          the moments that its field states
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Any, Final

import structlog

import sql
from proxy.aql import parse
from proxy.aql.compile import Compiled, CompiledTable, CompiledTables, compile_query
from proxy.base.database import Database, Session
from proxy.base.errors import ArangoError, DatabaseError, PreconditionFailed, StatementError, error_label
from proxy.base.periodic import Periodic
from proxy.base.sqlstates import is_a_conflict
from proxy.model import json_reader
from proxy.model.documents import escape_text
from proxy.operator.index_building import drop_invalid, make
from proxy.semantics.unique_index import uniques_of
from proxy.stores.postgres import own_indexes, unique_indexes
from proxy.stores.postgres.compiled_queries import has_icu
from proxy.stores.postgres.unique_indexes import NewIndex
from sql.statement import Statement

log = structlog.get_logger(__name__)

_LOCK_WAIT: Final = "1s"  # for writes that are under way, before which others queue
INTERVAL: Final = 5.0  # seconds between two looks at the definitions
_PERSISTENT: Final = frozenset({"persistent", "hash", "skiplist"})
_PROBE: Final = "c"  # the name of the collection in the query whose order an index is to give
_CONTAINMENT: Final = ""  # the index for equality of any attribute, which is not dropped with the client's
Wanted = dict[str, Statement[None]]


class _DroppedError(Exception):
    """A client has dropped the index that is being built."""


class QueryIndexes:
    """Creates missing indexes and drops unneeded ones every `interval` seconds, in one process at a time.

    database: one whose statements have no time-out.
    """

    def __init__(self, database: Database, *, interval: float = INTERVAL) -> None:
        self._database = database
        self._task = Periodic(self.ensure, "indexes of clients", interval)
        self._impossible: set[str] = set()  # PostgreSQL cannot have them, or a document's value is too large: names

    def start(self) -> None:
        """Start the task."""
        self._task.start()

    async def close(self) -> None:
        """End the task; a build that is running is dropped."""
        await self._task.close()

    async def ensure(self) -> None:
        """Compare the definitions with the indexes of every table. Raise DatabaseError."""
        async with self._database.session() as session:
            if not await session.fetchval(sql.complete.TRY_LOCK_INDEXES):
                return
            try:
                async with session.transaction():
                    await unique_indexes.drop_unfinished(session)
                for collection, made in await self._missing_uniques(session):
                    await self._build(session, collection, made)
                for relation, wanted in (await self._definitions(session)).items():
                    try:
                        await self._ensure(relation, wanted)
                    except DatabaseError as error:  # of one table, which may be gone
                        log.warning("indexes_not_made", relation=relation, error=error_label(error))
            finally:
                await asyncio.shield(session.fetchval(sql.complete.UNLOCK_INDEXES))

    async def _definitions(self, session: Session) -> dict[str, Wanted]:
        """Return the indexes that each table needs, by name."""
        icu = await has_icu(self._database)
        found: defaultdict[str, Wanted] = defaultdict(dict)
        for row in await session.fetch(sql.complete.CLIENT_INDEXES):
            definition = json_reader.load(row.definition.encode())
            kind, fields, wanted = definition["type"], definition["fields"], found[row.relation]
            name = own_name(row.relation, definition, icu=icu)
            if kind == "ttl":
                path = [escape_text(part) for part in fields[0].split(".")]
                columns = await session.fetchval(sql.complete.MOMENT_COLUMN, path)
                wanted[name] = sql.indexes.CREATE.fill(name=f'"{name}"', columns=columns).on(row.relation)
            elif name:
                wanted[name] = own_indexes.create(row.relation, list_columns(row.relation, fields, icu=icu))
            if kind in _PERSISTENT or row.edge:
                statement = await session.fetchval(sql.indexes.CONTAINMENT_STATEMENT, row.collection)
                wanted[_CONTAINMENT] = sql.indexes.CARRY_OUT.fill(statement=statement)
        return found

    async def _missing_uniques(self, session: Session) -> list[tuple[str, NewIndex]]:
        """Return the unique indexes that collections have and PostgreSQL does not."""
        return [
            (row.collection, NewIndex(row.relation, index))
            for row in await session.fetch(sql.complete.CLIENT_INDEXES)
            for index in uniques_of([json_reader.load(row.definition.encode())])
            if index.id not in self._impossible and not await session.fetchval(sql.unique_indexes.EXISTS, index.id)
        ]

    async def _build(self, session: Session, collection: str, made: NewIndex) -> None:
        """Build a unique index, unless it is dropped meanwhile."""
        try:
            async with unique_indexes.built(session, [made], _LOCK_WAIT), session.transaction():
                text = await session.fetchrow(sql.unique_indexes.LOCK_PROPERTIES, collection)
                present = uniques_of(json_reader.load((text or "{}").encode()).get("indexes", ()))
                if made.index not in present:
                    raise _DroppedError
                await unique_indexes.create(session, made)
        except _DroppedError:
            return
        except ArangoError as error:
            self._impossible.add(made.index.id)
            log.error("unique_index_violated", collection=collection, index=made.index.name, reason=error.message)
        except DatabaseError as error:
            log.warning("indexes_not_made", relation=made.relation, error=error_label(error))
        else:
            log.info("index_made", index=made.index.name, relation=made.relation)

    async def _ensure(self, relation: str, wanted: Wanted) -> None:
        schema = relation.rpartition(".")[0]
        made = set(await self._database.fetch(sql.complete.MADE_INDEXES, relation))
        for name in sorted(made - wanted.keys()):
            await self._database.execute(sql.indexes.DROP.fill(index=f'{schema}."{name}"'))
        missing = {name: statement for name, statement in wanted.items() if name not in made | self._impossible}
        if missing.pop(_CONTAINMENT, None) is not None and not await self._database.fetchval(
            sql.indexes.HAS_CONTAINMENT, relation
        ):
            await drop_invalid(self._database, relation)
            await self._database.execute(wanted[_CONTAINMENT])
            await self._database.execute(sql.indexes.ANALYZE.on(relation))
        for name, statement in missing.items():
            await drop_invalid(self._database, relation)
            try:
                await make(self._database, relation, statement.without_description.rstrip().rstrip(";"))
            except (PreconditionFailed, StatementError) as error:
                if isinstance(error, StatementError) and is_a_conflict(error.sqlstate):
                    raise
                self._impossible.add(name)
                log.warning("index_impossible", index=name, relation=relation, reason=str(error))
                continue
            await self._database.execute(sql.complete.MARK_INDEX.fill(index=f'{schema}."{name}"'))
            await self._database.execute(sql.indexes.ANALYZE.on(relation))
            log.info("index_made", index=name, relation=relation)


def own_name(relation: str, definition: dict[str, Any], *, icu: bool) -> str:
    """Return the name of PostgreSQL's index for the definition of a client's; empty if it needs none of its own."""
    if definition["type"] == "ttl":
        return f"ttl/{int(definition['id'].rpartition('/')[2])}"
    if definition["type"] not in _PERSISTENT:
        return ""
    ordered = list_columns(relation, definition["fields"], icu=icu)
    return own_indexes.name_of(relation, ", ".join(ordered)) if ordered else ""


def list_columns(relation: str, fields: list[str], *, icu: bool) -> tuple[str, ...]:
    """Return the columns that give the order of the last field after equality of the others; empty if none do."""
    if any("[*]" in field or "`" in field or "\\" in field for field in fields):
        return ()
    paths = [".".join(["d", *(f"`{part}`" for part in field.split("."))]) for field in fields]
    filters = "".join(f" FILTER {path} == 1" for path in paths[:-1])
    query = parse(f"FOR d IN {_PROBE}{filters} SORT {paths[-1]} LIMIT 1 RETURN d")
    compiled = compile_query(query, {}, CompiledTables({_PROBE: CompiledTable(relation)}, icu))
    found = compiled.listings[0].columns if isinstance(compiled, Compiled) and compiled.listings else ()
    return () if found == ("key",) else found
