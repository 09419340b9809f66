"""The proof of the channel before a promotion: one document written, read back and removed in both directions.

It is a document of Crossfade's own, beside the fence document in the collection `_crossfade`. From ArangoDB to
PostgreSQL it goes as it is printed; the way back is a push, as the reverse mirror makes it. So the proof needs what
later writes need: the rights of Crossfade's account, stream transactions, and that revisions are kept.
"""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import time
from dataclasses import dataclass
from typing import Any, Final

import orjson

import sql
from proxy.base.database import Database
from proxy.base.errors import ArangoError, CrossfadeError, DatabaseError, UpstreamError
from proxy.model.revision import INVALID, decode_rev, encode_rev
from proxy.reverse.batch import Batch, Version
from proxy.reverse.origin import FENCE, OriginRequests
from proxy.reverse.push import FenceTest, PushEnd, push

_PART: Final = -1  # no part of the outbox: its fence document stops no applier
_NEXT_MS: Final = 1 << 20  # revisions
_NOT_FOUND: Final = 404


@dataclass(frozen=True, slots=True)
class CanaryProof:
    """How a proof ended. trouble: what failed, in words; empty if nothing did. seconds: how long it took."""

    trouble: str
    seconds: float


class _FailedProof(CrossfadeError):
    """Something is not as it was written."""


@dataclass(frozen=True, slots=True)
class Canary:
    """The document of one instance in a database of ArangoDB."""

    database: Database
    origin: OriginRequests
    instance: str
    name: str  # of ArangoDB's database

    async def prove(self) -> CanaryProof:
        """Carry the document in both directions, and remove it from both databases. Never raises CrossfadeError."""
        began = time.monotonic()
        trouble = ""
        try:
            await self.origin.create_fence(self.name)
            revision = await self._to_postgresql()
            revision = await self._to_arangodb(revision + _NEXT_MS)
            await self._removed(revision + _NEXT_MS)
        except _FailedProof as error:
            trouble = str(error)
        except ArangoError as error:
            trouble = f"ArangoDB refuses it: {error.message} ({error.number})"
        except (UpstreamError, DatabaseError) as error:
            trouble = str(error) or type(error).__name__
        if trouble:
            with contextlib.suppress(CrossfadeError):
                await self.database.execute(sql.canary.REMOVE, self.instance)
                await self.origin.ask("DELETE", self.name, ("document", FENCE, self._key))
        return CanaryProof(trouble, time.monotonic() - began)

    @property
    def _key(self) -> str:
        """The key, which consists of digits and letters, whatever the instance is called."""
        return "canary-" + hashlib.blake2b(self.instance.encode(), digest_size=12).hexdigest()

    async def _to_postgresql(self) -> int:
        """Write it to ArangoDB and then, as that prints it, to PostgreSQL; return its revision."""
        word = secrets.token_hex(8)
        await self.origin.ask(
            "POST",
            self.name,
            ("document", FENCE),
            params={"overwriteMode": "replace"},
            body=orjson.dumps({"_key": self._key, "word": word}),
        )
        raw, _ = await self.origin.ask("GET", self.name, ("document", FENCE, self._key), idempotent=True)
        document = orjson.loads(raw)
        revision = decode_rev(str(document.get("_rev")))
        if document.get("word") != word or revision == INVALID:
            raise _FailedProof("ArangoDB does not return the document that was written")
        await self._put(revision, raw.decode())
        return revision

    async def _put(self, revision: int, raw: str) -> None:
        """Write it to PostgreSQL, and read it back."""
        await self.database.execute(sql.canary.PUT, self.instance, revision, raw)
        row = await self.database.fetchrow(sql.canary.READ, self.instance)
        if row is None or (row.rev, row.raw) != (revision, raw):
            raise _FailedProof("PostgreSQL does not return the document that was written")

    async def _to_arangodb(self, revision: int) -> int:
        """Change it in PostgreSQL, push it, and read it back; return its revision."""
        document = {
            "_key": self._key,
            "_id": f"{FENCE}/{self._key}",
            "_rev": encode_rev(revision),
            "word": secrets.token_hex(8),
        }
        raw = orjson.dumps(document)
        await self._put(revision, raw.decode())
        await self._push(Version(self._key, revision, raw))
        found: dict[str, Any] = orjson.loads(
            (await self.origin.ask("GET", self.name, ("document", FENCE, self._key), idempotent=True))[0]
        )
        if found.get("_rev") != document["_rev"]:
            raise _FailedProof(f"ArangoDB did not keep the revision: {found.get('_rev')}, not {document['_rev']}")
        if found != document:
            raise _FailedProof("ArangoDB does not return the document that was pushed")
        return revision

    async def _removed(self, revision: int) -> None:
        """Remove it from PostgreSQL, push that, and look that ArangoDB has it no longer."""
        await self.database.execute(sql.canary.REMOVE, self.instance)
        await self._push(Version(self._key, revision, None))
        try:
            await self.origin.ask("GET", self.name, ("document", FENCE, self._key), idempotent=True)
        except ArangoError as error:
            if error.status == _NOT_FOUND:
                return
            raise
        raise _FailedProof("ArangoDB still has the document that was removed")

    async def _push(self, version: Version) -> None:
        fence = FenceTest(_PART, token=0, opened=_opened, may_pass=_may_pass)
        batch = Batch(self.name, (), {FENCE: (version,)}, whole=True)
        outcome = await push(self.origin, fence, batch, removes_first=False)
        if outcome.end is not PushEnd.PUSHED:
            raise _FailedProof(f"the push ended as {outcome.end.value}: {outcome.reason or 'see the log'}")


async def proved(database: Database, origin: OriginRequests, instance: str, name: str) -> dict[str, object]:
    """Return what `/canary` answers: whether a document goes in both directions through this instance."""
    proof = await Canary(database, origin, instance, name).prove()
    return {"instance": instance, "trouble": proof.trouble, "seconds": proof.seconds}


async def _opened(_transaction: str) -> bool:
    return True


async def _may_pass(_announced: int) -> bool:
    return True
