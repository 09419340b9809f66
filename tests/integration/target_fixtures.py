"""Documents in PostgreSQL for tests of the target, by the one upsert rule."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any, Final

import orjson

import sql
from proxy.model.documents import to_jsonb
from proxy.model.revision import decode_rev, encode_rev
from tests.ad_hoc import Database

FIRST_REVISION: Final = 1 << 60  # of collections whose writes PostgreSQL takes
_revisions = itertools.count(1872607071780732928)


def new_rev() -> str:
    """Return a revision newer than every one returned before."""
    return encode_rev(next(_revisions))


def raw_of(collection: str, key: str, content: bytes = b"{}", rev: str | None = None) -> bytes:
    """Return a document as ArangoDB prints it; content: a JSON object."""
    system = b'{"_key":"%s","_id":"%s/%s","_rev":"%s"' % (
        key.encode(),
        collection.partition("/")[2].encode(),
        key.encode(),
        (rev or new_rev()).encode(),
    )
    inner = content.strip()[1:]
    return system + (b"," if inner.strip() != b"}" else b"") + inner


async def create(database: Database, collection: str, *, edge: bool = False) -> str:
    """Create the table of a new collection."""
    name = collection.partition("/")
    row = await database.fetchrow("SELECT * FROM _crossfade.ensure_collection($1, $2, $3)", name[0], name[2], edge)
    assert row is not None
    relation: str = row["relation"]
    return relation


async def take_writes(
    database: Database,
    collection: str,
    properties: dict[str, Any],
    *,
    last: int = 0,
    revision: int = FIRST_REVISION,
) -> str:
    """Let PostgreSQL take the writes of a new collection. last: the largest number of its key generator.

    revision: its new ones are above.
    """
    relation = await create(database, collection, edge=properties.get("type") == 3)
    await database.execute(
        "SELECT _crossfade.take_writes($1, $2, $3::text::json, $4::bigint::numeric)",
        collection,
        revision,
        orjson.dumps(properties).decode(),
        last,
    )
    return relation


async def put(database: Database, collection: str, *raws: bytes) -> None:
    """Apply versions of documents as the mirror does."""
    relation = await create(database, collection)
    documents = [orjson.loads(raw) if b"\\ud8" not in raw else _system(raw) for raw in raws]
    await database.execute(
        sql.documents.UPSERT.on(relation),
        collection,
        [document["_key"] for document in documents],
        [decode_rev(document["_rev"]) for document in documents],
        [raw.decode() for raw in raws],
        [to_jsonb(raw) for raw in raws],
        [1 << 40] * len(raws),
    )


def _system(raw: bytes) -> dict[str, str]:
    head: dict[str, str] = orjson.loads(
        raw.split(b',"_rev":"')[0] + b',"_rev":"' + raw.split(b'"_rev":"')[1][:11] + b'"}'
    )
    return head


async def remove(database: Database, collection: str, keys: Iterable[str]) -> None:
    """Delete rows directly."""
    relation = await create(database, collection)
    await database.execute(f"DELETE FROM {relation} WHERE key = ANY ($1::text[])", list(keys))
