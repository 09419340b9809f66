"""Both databases, read directly while nothing is under way: against each other, and against what clients know.

Pure, but for `read`. What clients know of a key is the version that must be there at least (tests/faults/oracle.py).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import asyncpg
import httpx

from proxy.model.revision import decode_rev
from tests.faults.database_comparison import differences
from tests.faults.oracle import Key
from tests.faults.revisions import Revisions
from tests.faults.violations import Kind, Violation

_TIMEOUT: Final = 60.0  # seconds for an answer
_EVERYTHING: Final = {"query": "FOR d IN @@c RETURN d", "batchSize": 1_000_000}
_WITH_QUERIES: Final = "-x"  # ends the keys that clients write beside their own, by queries


@dataclass(frozen=True, slots=True)
class Row:
    """A row of PostgreSQL. raw: the document as text; doc: without system attributes; both None: a tombstone."""

    rev: int
    raw: str | None
    doc: Mapping[str, Any] | None


@dataclass
class Stored:
    """One collection in both databases. counts: what each says how many documents there are, by who says it."""

    origin: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    target: dict[str, Row] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def documents(self) -> dict[str, Mapping[str, Any]]:
        """PostgreSQL's documents."""
        return {key: json.loads(row.raw) for key, row in self.target.items() if row.raw is not None}


def judge(keys: Sequence[Key], revisions: Revisions, stored: Stored, name: str = "books") -> list[Violation]:
    """Return what is wrong."""
    documents = stored.documents
    return [
        *_known(keys, revisions, documents, "PostgreSQL"),
        *_known(keys, revisions, stored.origin, "ArangoDB"),
        *(
            Violation(
                Kind.DIFFERENT, f"{one}: {_shown(stored.origin, one.key)} in ArangoDB, {stored.target.get(one.key)}"
            )
            for one in differences({name: stored.origin}, {name: documents})
        ),
        *_rows(stored.target),
        *_counts(stored, len(documents)),
    ]


def _known(
    keys: Iterable[Key], revisions: Revisions, documents: Mapping[str, Mapping[str, Any]], where: str
) -> Iterator[Violation]:
    """Each document is one that its client may have left, with the revision that answers had."""
    known = {key.name: key for key in keys}
    for key in known.values():
        document = documents.get(key.name)
        version = None if document is None else document.get("n")
        found = key.violation(version, key.floor)
        if found is not None:
            yield Violation(found.kind, f"{key.name} in {where}: {found.text}")
        elif document is not None and version is not None:
            expected = revisions.of(key.name, version)
            revision = decode_rev(document["_rev"])
            if expected is not None and expected != revision:
                yield Violation(
                    Kind.REVISION, f"{key.name} {version} in {where}: {revision}, and answers had {expected}"
                )
    for name in documents.keys() - known.keys():
        if name.removesuffix(_WITH_QUERIES) not in known:
            yield Violation(Kind.UNWRITTEN, f"{name} in {where}: no client wrote it")


def _rows(rows: Mapping[str, Row]) -> Iterator[Violation]:
    """The columns of a row are of one document, and no two rows have one revision."""
    holders: dict[int, str] = {}
    for key, row in rows.items():
        if row.raw is None or row.doc is None:
            if (row.raw is None) != (row.doc is None):
                yield Violation(Kind.DIFFERENT, f"{key}: only one of raw and doc is there: {row}")
            continue
        document = json.loads(row.raw)
        if decode_rev(document["_rev"]) != row.rev:
            yield Violation(Kind.DIFFERENT, f"{key}: the row has revision {row.rev}, its document {document['_rev']}")
        if {name: value for name, value in document.items() if name not in _SYSTEM} != {
            name: value for name, value in row.doc.items() if name not in _SYSTEM
        }:
            yield Violation(Kind.DIFFERENT, f"{key}: {row.raw} and {row.doc}")
        other = holders.setdefault(row.rev, key)
        if other != key:
            yield Violation(Kind.REVISION, f"{key} and {other} have revision {row.rev}")


def _counts(stored: Stored, number: int) -> Iterator[Violation]:
    for whose, count in stored.counts.items():
        if count != number:
            yield Violation(Kind.DIFFERENT, f"{whose} counts {count} documents, and PostgreSQL has {number}")


def _shown(documents: Mapping[str, Mapping[str, Any]], key: str) -> str:
    return json.dumps(documents.get(key))


_SYSTEM: Final = frozenset({"_key", "_id", "_rev"})


async def read(origin: str, auth: tuple[str, str], dsn: str, collection: str) -> Stored:
    """Read one collection (`database/name`) in both databases, by HTTP and SQL rather than product code."""
    database, _, name = collection.partition("/")
    stored = Stored()
    async with httpx.AsyncClient(base_url=f"{origin}/_db/{database}", auth=auth, timeout=_TIMEOUT) as client:
        answer = await client.post("/_api/cursor", json={**_EVERYTHING, "bindVars": {"@c": name}})
        stored.origin = {one["_key"]: one for one in answer.raise_for_status().json()["result"]}
        counted = await client.get(f"/_api/collection/{name}/count")
        stored.counts["ArangoDB"] = counted.raise_for_status().json()["count"]
    connection = await asyncpg.connect(dsn)
    try:
        relation, counts = await connection.fetchrow(
            "SELECT relation, _crossfade.count_of(relation) FROM _crossfade.collection c "
            "JOIN _crossfade.stamp_floor f USING (collection) WHERE collection = $1",
            collection,
        ) or ("", 0)
        for row in await connection.fetch(f"SELECT key, rev, raw::text AS raw, doc::text AS doc FROM {relation}"):
            stored.target[row["key"]] = Row(row["rev"], row["raw"], json.loads(row["doc"]) if row["doc"] else None)
        if await connection.fetchval(
            "SELECT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = $1::regclass AND tgname = 'count_inserted')",
            relation,
        ):
            stored.counts["the table's trigger"] = counts
    finally:
        await connection.close()
    return stored
