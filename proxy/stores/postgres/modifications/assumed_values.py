"""The values of unique indexes that a run has taken to be free without a look-up: were they?"""

from __future__ import annotations

from collections.abc import Iterable

from proxy.base.database import Session
from proxy.stores.postgres import unique_indexes
from proxy.stores.postgres.modifications.query_collection import QueryCollection
from proxy.stores.postgres.writes.interruptions import NotLoadedError


async def are_held(session: Session, collections: Iterable[QueryCollection], *, written: bool) -> bool:
    """Return True if a document has one of them.

    written: PostgreSQL tests those that documents have now, since these will be written. Raise DatabaseError.
    """
    for collection in collections:
        try:
            collection.check_complete(written=written)
        except NotLoadedError as missing:
            for index, values in missing.values.items():
                found = await unique_indexes.holders(session, index, values)
                if any(key is not None for key in found.values()):
                    return True
    return False


async def look_up(
    session: Session, collection: QueryCollection, holders: dict[str, dict[bytes, str | None]], *, written: bool
) -> bool:
    """Add to `holders` who has them, for the next run. Return False if there are none. Raise DatabaseError."""
    try:
        collection.check_complete(written=written)
    except NotLoadedError as missing:
        for index, values in missing.values.items():
            holders.setdefault(index, {}).update(await unique_indexes.holders(session, index, values))
        return True
    return False
