"""Repair of named documents from the command line: the mirror's own repair, beside whatever proxies are running."""

from __future__ import annotations

from collections.abc import Sequence

from proxy.config import Settings
from proxy.database import Database
from proxy.errors import RefusedError
from proxy.http.upstream import Upstream
from proxy.mirror.journal import Journal
from proxy.mirror.marks import Marks
from proxy.mirror.repair import CannotRead, Repairer
from proxy.mirror.target import Target
from proxy.stores.arango import ArangoStore


async def repair_documents(
    settings: Settings, database: Database, collection: str, keys: Sequence[str]
) -> frozenset[str]:
    """PostgreSQL has of these keys what ArangoDB has (I5); gives those that changed at every look, or were refused.

    Raises UpstreamError, ArangoError where ArangoDB does not give them now; RefusedError where it never will;
    DatabaseError.
    """
    if not keys:
        return frozenset()
    upstream = Upstream(
        str(settings.origin),
        connections=2,
        connect_timeout=settings.connect_timeout,
        request_timeout=settings.request_timeout,
    )
    try:
        origin = ArangoStore(upstream, settings.origin_user, settings.origin_password)
        # the journal is never opened: only keys that are named here are repaired, no proxy's intents
        repairer = Repairer(
            Target(database),
            origin,
            Journal(settings.state_dir / "journal"),
            Marks(database, "command line", lambda *_: None),
            lambda *_: None,
        )
        looked = await repairer.until_done(collection, keys)
    except CannotRead as error:
        raise RefusedError(f"ArangoDB does not give documents of {collection}: {error}") from error
    finally:
        await upstream.close()
    return looked.left | looked.dead
