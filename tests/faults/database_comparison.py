"""Reads both databases directly, by HTTP and asyncpg rather than product code, and compares them by document."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import asyncpg
import httpx

_TIMEOUT = 60.0  # seconds for an answer
Documents = Mapping[str, Mapping[str, object]]  # by collection and key


@dataclass(frozen=True, slots=True)
class Difference:
    """One differing document. what: `missing` (also older or other content) in PostgreSQL, or `extra`, a ghost."""

    collection: str
    key: str
    what: str

    def __str__(self) -> str:
        return f"{self.collection}/{self.key}: {self.what}"


async def everything(origin: str, dsn: str, database: str = "_system") -> list[Difference]:
    """Compare every collection that either side has; of ArangoDB's system collections those that PostgreSQL has."""
    of_target = await in_target(dsn, database)
    return differences(await in_origin(origin, database, of_target), of_target)


def differences(of_origin: Documents, of_target: Documents) -> list[Difference]:
    """Return which documents differ. Pure."""
    found = []
    for name in sorted(of_origin.keys() | of_target.keys()):
        expected, actual = of_origin.get(name, {}), of_target.get(name, {})
        found += [Difference(name, key, "missing") for key in sorted(expected.keys() - actual.keys())]
        found += [Difference(name, key, "extra") for key in sorted(actual.keys() - expected.keys())]
        found += [
            Difference(name, key, "different")
            for key in sorted(expected.keys() & actual.keys())
            if expected[key] != actual[key]
        ]
    return found


async def in_origin(
    url: str, database: str, mirrored: Collection[str], auth: tuple[str, str] = ("root", "")
) -> dict[str, dict[str, object]]:
    """Read every document of ArangoDB's database; of system collections only those of `mirrored`."""
    found: dict[str, dict[str, object]] = {}
    async with httpx.AsyncClient(base_url=f"{url}/_db/{database}", auth=auth, verify=False, timeout=_TIMEOUT) as client:
        listed = (await client.get("/_api/collection")).json()["result"]
        for name in (one["name"] for one in listed if not one["isSystem"] or one["name"] in mirrored):
            body = {"query": "FOR d IN @@c RETURN d", "bindVars": {"@c": name}, "batchSize": 1_000_000}
            answer = await client.post("/_api/cursor", json=body)
            found[name] = {document["_key"]: document for document in answer.json()["result"]}
    return found


async def in_target(dsn: str, database: str) -> dict[str, dict[str, object]]:
    """Read every document that PostgreSQL has of the database."""
    found: dict[str, dict[str, object]] = {}
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch("SELECT name, relation FROM _crossfade.collection WHERE database = $1", database)
        for row in rows:
            documents = await connection.fetch(f"SELECT key, raw::text FROM {row['relation']} WHERE doc IS NOT NULL")
            found[row["name"]] = {document["key"]: json.loads(document["raw"]) for document in documents}
    finally:
        await connection.close()
    return found
