"""ArangoDB's clock: its newest revision, by a document that is written to a collection of Crossfade's own.

Revisions that ArangoDB gives rise with its time, and with each write on the server. So every document that it has
already has a lower revision than one that is written now.
"""

from __future__ import annotations

from typing import Final

from proxy.base.arango_client import OriginClient
from proxy.model.revision import decode_rev

DATABASE: Final = "_system"
COLLECTION: Final = "_crossfade_clock"
_KEY: Final = "newest"


async def newest_revision(origin: OriginClient) -> int:
    """Return a revision that ArangoDB gives now. Raise UpstreamError, ArangoError."""
    return decode_rev(await origin.write(DATABASE, COLLECTION, {"_key": _KEY}))
