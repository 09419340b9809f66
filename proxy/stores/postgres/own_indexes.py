"""Indexes that Crossfade makes for queries, and when they are dropped.

Operators ask for them (`crossfade indexes`), and so do indexes that clients create if PostgreSQL takes the writes.

A btree takes values of up to some 2,700 bytes; a document with a longer one in an indexed attribute is refused. The
error (54000) names the index for some sizes and none for others: then the document's values for each index are
measured. No expression over a part of a value sorts as ArangoDB sorts, so the index holds the complete value. A missing
index makes reads slower, a missing document makes them wrong: so the index is dropped, and the document is written
again. An index that Crossfade did not make stays, and the document is a dead letter.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import Final

import structlog

import sql
from proxy.base.database import Database
from proxy.base.errors import StatementError
from sql.statement import Single, Statement

log = structlog.get_logger(__name__)

TOO_LARGE: Final = "54000"  # program_limit_exceeded
_OURS: Final = re.compile(r'"(list_[0-9a-f]{24})"')


def name_of(relation: str, columns: str) -> str:
    """Return the name of the index for a list: filters by equality, then the keys of the order."""
    return f"list_{hashlib.sha256(f'{relation} {columns}'.encode()).hexdigest()[:24]}"


def create(relation: str, columns: Sequence[str]) -> Statement[None]:
    """Return the statement that creates the index for a list, as `aql.compile.plan.Listing` has its columns."""
    joined = ", ".join(columns)
    return sql.indexes.CREATE.fill(name=name_of(relation, joined), columns=joined).on(relation)


LARGE: Final = 2_000  # bytes of a value, beyond which an index may refuse it


def named_in(error: StatementError) -> str | None:
    """Return the index of Crossfade that refused a value for its size, if the error names one."""
    found = _OURS.search(str(error))
    return found.group(1) if found else None


def measure(columns: Sequence[str]) -> Single[sql.indexes.MeasureRow]:
    """Return the query for the length of the longest of an index's values, of the document $1 with key $2.

    columns: as `pg_get_indexdef` gives them: PostgreSQL's text about an index of Crossfade.
    """
    return sql.indexes.MEASURE.fill(lengths=", ".join(f"octet_length(({column})::text)" for column in columns))


def drop(relation: str, name: str) -> Statement[None]:
    """Return the statement that drops an index of a relation concurrently with reads and writes."""
    return sql.indexes.DROP.fill(index=f"{relation.rpartition('.')[0]}.{name}")


async def drop_too_small(database: Database, relations: Iterable[str], error: StatementError) -> bool:
    """Drop the index of one of the relations that refused a value for its size, or all if the error names none.

    What was dropped although it could hold the value is made again. Return False if there is none. No transaction of
    this process may have written to the relations. Raise DatabaseError.
    """
    named, dropped = named_in(error), False
    for relation in relations:
        for row in await database.fetch(sql.mirror.OWN_INDEXES, relation):
            if named in (None, row.name):
                await database.execute(drop(relation, row.name))
                log.warning("index_dropped", index=row.name, relation=relation)
                dropped = True
    return dropped
