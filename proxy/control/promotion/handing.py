"""What the rooms above do for a promotion: collections take more with them than documents."""

from __future__ import annotations

from typing import Protocol

from proxy.base.database import Session


class CollectionHandover(Protocol):
    """The handover of a group of collections: definitions, key generators, indexes, entries of the catalog."""

    async def prepare(self) -> None:
        """Do what takes long, while writes go on: read what both databases have.

        Raise PreconditionFailed if PostgreSQL cannot take a collection; DatabaseError, UpstreamError, ArangoError.
        """
        ...

    async def compare(self) -> None:
        """Read ArangoDB's definitions again, while writes are held.

        Raise PreconditionFailed if they are not those that were prepared; UpstreamError, ArangoError.
        """
        ...

    async def take(self, session: Session, floor: int) -> None:
        """Let PostgreSQL take the writes with the transaction of `session`, with revisions above `floor`.

        Raise StatementError if ArangoDB does not take the writes of all of them; DatabaseError.
        """
        ...
