"""Repair of keys by a worker: the mirror's repair, with more attempts and the conditions of a backfill."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import sql
from proxy.base.database import Database
from proxy.base.errors import DatabaseError, PreconditionFailed
from proxy.base.sqlstates import is_a_conflict
from proxy.replication.bisection import ENOUGH
from proxy.replication.key_repair import KEYS, CannotRead, DocumentReader, KeyRepairer, RepairResult
from proxy.replication.target_writer import TargetWriter

ATTEMPTS: Final = 8
_PAUSE: Final = (0.02, 1.0)  # seconds between two attempts: doubled each time, up to


async def repair_keys(database: Database, source: DocumentReader, collection: str, keys: Sequence[str]) -> RepairResult:
    """Repair these keys of `database/name`. Those that are `left` changed at every attempt: the mirror applies them.

    Raise PreconditionFailed if the collection is unknown, ArangoError 1203 if ArangoDB has no such collection any more
    (which is not a reason to remove documents), UpstreamError, DatabaseError.
    """
    if await database.fetchrow(sql.collections.FIND, collection) is None:
        raise PreconditionFailed(f"{collection} is not known: run `crossfade mirror {collection}` first")
    repairer = KeyRepairer(TargetWriter(database, "backfill"), source)
    result, left = RepairResult(), frozenset[str]()
    unique = list(dict.fromkeys(keys))
    for at in range(0, len(unique), KEYS):
        result = result.then(await _repair_batch(repairer, collection, unique[at : at + KEYS]))
        left |= result.left
    return result._replace(left=left)


async def _repair_batch(repairer: KeyRepairer, collection: str, keys: Sequence[str]) -> RepairResult:
    result, refusals = RepairResult(left=frozenset(keys)), 0
    for attempt in range(ATTEMPTS):
        if attempt:
            await asyncio.sleep(min(_PAUSE[0] * 2**attempt, _PAUSE[1]))
        last = attempt == ATTEMPTS - 1
        try:
            once = await repairer.keys(collection, sorted(result.left), last=last)
        except CannotRead as error:
            raise error.error from None
        except DatabaseError as error:
            refusals += 1
            if not error.of_statement or (refusals > ENOUGH and not is_a_conflict(error.sqlstate)):
                raise
            continue
        result = result.then(once)
        if not result.left:
            break
    return result
