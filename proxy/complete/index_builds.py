"""Indexes that are being built, as a client sees them that lists hidden ones: `isBuilding` and a progress in percent.

A unique index is built by the request that creates it, and is listed for others only if they ask for hidden ones. Any
other is listed from its creation on; PostgreSQL's index for it is built later, and its state is shown meanwhile.
"""

from __future__ import annotations

from typing import Any

import sql
from proxy.base.database import Database
from proxy.complete.catalog import StoredCollection
from proxy.complete.commands import LISTS_INDEXES
from proxy.complete.query_indexes import own_name
from proxy.devserver.store.commands import EndpointCommand
from proxy.model import json_reader
from proxy.model.operations import Operation, Outcome
from proxy.semantics.request_params import flag
from proxy.stores.postgres.compiled_queries import has_icu
from proxy.wire.encode import json_outcome

Document = dict[str, Any]


def shows_builds(operation: Operation, command: EndpointCommand) -> bool:
    """Return True if the answer lists indexes that are being built."""
    return command is LISTS_INDEXES and flag(operation.params, "withHidden")


async def with_builds(database: Database, stored: StoredCollection, listed: Outcome) -> Outcome:
    """Return a list of the collection's indexes with those that are being built. Raise DatabaseError."""
    body = json_reader.load(listed.body)
    shown: list[Document] = body["indexes"]
    building = {row.name: row.progress for row in await database.fetch(sql.complete.INDEX_BUILDS, stored.relation)}
    if building:
        icu = await has_icu(database)
        for definition in shown:
            progress = building.get(own_name(stored.relation, definition, icu=icu))
            if progress is not None:
                definition |= {"isBuilding": True, "progress": progress}
    shown += [
        {**json_reader.load(row.definition.encode()), "isBuilding": True, "progress": row.progress}
        for row in await database.fetch(sql.unique_indexes.BUILDS, stored.relation)
    ]
    body["identifiers"] = {definition["id"]: definition for definition in shown}
    return json_outcome(listed.status, body)
