"""Memory against what PostgreSQL has: what was acknowledged is there, what was refused is not. Pure, but for `read`."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import asyncpg

from proxy.model.revision import decode_rev
from tests.faults.alone.memory import Memory, OpenAttempt, Place


@dataclass(frozen=True, slots=True)
class Row:
    """A document of PostgreSQL. rev: of its row; shown: the revision in the document."""

    token: str
    rev: int
    shown: int
    unique: str | None = None


@dataclass
class Stored:
    """What PostgreSQL has.

    documents: of every collection that it has. counts: those that triggers keep, and those of the tables. outbox: how
    often a key is noted. in_arangodb: collections whose writes must be noted. catalog: collections of the catalog.
    entries: those of unique indexes, the key by collection and value. strays: tables of indexes that nothing names.
    """

    documents: dict[Place, Row] = field(default_factory=dict)
    counts: dict[str, tuple[int, int]] = field(default_factory=dict)
    outbox: Counter[Place] = field(default_factory=Counter)
    in_arangodb: set[str] = field(default_factory=set)
    collections: set[str] = field(default_factory=set)
    catalog: set[str] = field(default_factory=set)
    entries: dict[tuple[str, str], str] = field(default_factory=dict)
    strays: list[str] = field(default_factory=list)


def judge(memory: Memory, stored: Stored) -> list[str]:
    """Return what is wrong, as sentences."""
    return [
        *memory.wrong,
        *_documents(memory, stored),
        *_revisions(memory, stored),
        *_shared(memory, stored),
        *_claims(memory, stored),
        *_collections(memory, stored),
        *_counts(stored),
        *_outbox(memory, stored),
    ]


def took_effect(attempt: OpenAttempt, stored: Stored) -> dict[Place, bool]:
    """Return of which documents an attempt without an answer has happened."""
    return {
        place: (stored.documents[place].token if place in stored.documents else None) == token
        for place, token in attempt.effects.items()
    }


def _documents(memory: Memory, stored: Stored) -> Iterator[str]:
    """Every document is as the last settled attempt left it, or as an open one would leave it."""
    free = memory.free()
    for place in sorted(free):
        row = stored.documents.get(place)
        if (row.token if row else None) != memory.tokens[place]:
            yield f"{place}: {row} instead of {memory.tokens[place]!r}, which was the last that was acknowledged"
    for attempt in memory.open:
        happened = took_effect(attempt, stored)
        if attempt.whole and len(set(happened.values())) > 1:
            yield f"{attempt.kind}: it has happened to a part of its documents: {happened}"
        for place, did in happened.items():
            row = stored.documents.get(place)
            if not did and (row.token if row else None) != memory.tokens[place]:
                expected = f"{attempt.effects[place]!r} nor {memory.tokens[place]!r} ({attempt.kind})"
                yield f"{place}: {row}, neither {expected}"
    owned = {place.collection for place in memory.tokens}
    for place in stored.documents.keys() - memory.tokens.keys():
        if place.collection in owned:
            yield f"{place}: {stored.documents[place]}, which no client wrote"


def _revisions(memory: Memory, stored: Stored) -> Iterator[str]:
    """A revision of a key has one content, and the stored one is not older than any that was shown."""
    for place, row in stored.documents.items():
        if row.rev != row.shown:
            yield f"{place}: the row has revision {row.rev}, its document {row.shown}"
    for place, seen in memory.revisions.items():
        contents: defaultdict[int, set[str]] = defaultdict(set)
        for rev, token in seen:
            contents[rev].add(token)
        found = stored.documents.get(place)
        if found is not None:
            contents[found.rev].add(found.token)
            if found.rev < seen[-1][0]:
                yield f"{place}: the stored revision {found.rev} is older than {seen[-1]}, which was shown"
        for rev, tokens in contents.items():
            if len(tokens) > 1:
                yield f"{place}: revision {rev} was given to {sorted(tokens)}"


def _shared(memory: Memory, stored: Stored) -> Iterator[str]:
    """Of a document that all clients write, the newest acknowledged version is there, or one that is newer."""
    for place, written in memory.shared.items():
        contents: defaultdict[int, set[str]] = defaultdict(set)
        for rev, token in written:
            contents[rev].add(token)
        for rev, tokens in contents.items():
            if len(tokens) > 1:
                yield f"{place}: revision {rev} was given to {sorted(tokens)}"
        row = stored.documents.get(place)
        newest = max(written)
        if row is None or row.rev < newest[0] or (row.rev == newest[0]) != (row.token == newest[1]):
            yield f"{place}: {row} instead of {newest}, or of one without an answer"
        elif row.rev > newest[0] and row.token not in memory.shared_open[place]:
            yield f"{place}: {row} is newer than {newest}, and no open attempt wrote it"


def _claims(memory: Memory, stored: Stored) -> Iterator[str]:
    """A value has one document: that of the insert that was acknowledged, and the index has it."""
    holders: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for place, row in stored.documents.items():
        if row.unique is not None:
            holders[place.collection, row.unique].append(place.key)
    for (collection, value), keys in holders.items():
        if len(keys) > 1:
            yield f"{collection}: {value!r} is the value of {sorted(keys)}"
        elif stored.entries.get((collection, value)) != keys[0]:
            yield f"{collection}: the index has {stored.entries.get((collection, value))} for {value!r} of {keys[0]}"
    for (collection, value), key in stored.entries.items():
        if (collection, value) not in holders:
            yield f"{collection}: the index has {value!r} of {key}, which no document has"
    for claim in memory.claims:
        holder = holders.get((claim.place.collection, claim.value))
        if claim.happened and claim.place not in stored.documents:
            yield f"{claim}: it was acknowledged and is not there"
        if claim.happened is False:
            if claim.place in stored.documents:
                yield f"{claim}: it was refused and is there"
            if not holder:
                yield f"{claim}: it was refused, and nothing has the value"


def _collections(memory: Memory, stored: Stored) -> Iterator[str]:
    """Catalog and tables agree with each other, and with what was acknowledged."""
    for name in sorted(stored.catalog ^ stored.collections):
        yield f"collection {name}: " + ("it has no table" if name in stored.catalog else "the catalog does not have it")
    for name, exists in memory.collections.items():
        if exists is not None and exists != (name in stored.catalog):
            yield f"collection {name}: " + ("it was made and is not there" if exists else "it was dropped and is there")
    for name in stored.strays:
        yield f"{name}: no index of the catalog has this table"


def _counts(stored: Stored) -> Iterator[str]:
    for collection, (kept, real) in stored.counts.items():
        if kept != real:
            yield f"{collection}: the count is {kept}, and there are {real} documents"


def _outbox(memory: Memory, stored: Stored) -> Iterator[str]:
    """Each change of a document that ArangoDB has is noted once, and no other."""
    lost: Counter[Place] = Counter()
    for attempt in memory.open:
        lost.update({place: int(did) for place, did in took_effect(attempt, stored).items()})
    for place in memory.tokens:
        expected = memory.writes[place] + lost[place] if place.collection in stored.in_arangodb else 0
        if stored.outbox[place] != expected:
            yield f"{place}: {stored.outbox[place]} rows in the outbox instead of {expected}"
    for place in stored.outbox.keys() - memory.tokens.keys():
        yield f"{place}: a row in the outbox, and no client wrote it"


async def read(dsn: str) -> Stored:
    """Read everything that PostgreSQL has of the database `_system`."""
    stored = Stored()
    connection = await asyncpg.connect(dsn)
    try:
        names: Mapping[str, str] = {}
        rows = await connection.fetch(
            "SELECT c.collection, c.name, c.relation, f.in_arangodb, f.properties::text AS properties "
            "FROM _crossfade.collection c JOIN _crossfade.stamp_floor f USING (collection) WHERE c.database = '_system'"
        )
        names = {row["collection"]: row["name"] for row in rows}
        stored.collections = set(names.values())
        uniques: dict[str, str] = {}
        for row in rows:
            name = row["name"]
            if row["in_arangodb"]:
                stored.in_arangodb.add(name)
            found = await connection.fetch(
                f"SELECT key, rev, raw::text AS raw FROM {row['relation']} WHERE doc IS NOT NULL"
            )
            for one in found:
                content = json.loads(one["raw"])
                token, shown = str(content.get("token")), decode_rev(content["_rev"])
                stored.documents[Place(name, one["key"])] = Row(token, one["rev"], shown, content.get("unique"))
            kept = await connection.fetchval("SELECT _crossfade.count_of($1)", row["relation"])
            stored.counts[name] = kept, len(found)
            uniques |= {
                index["id"].rpartition("/")[2]: name
                for index in json.loads(row["properties"]).get("indexes", ())
                if index.get("unique") and index["type"] == "persistent"
            }
        catalog = await connection.fetch("SELECT name FROM _crossfade.catalog WHERE kind = 'collection'")
        stored.catalog = {row["name"].removeprefix("_system/") for row in catalog}
        for row in await connection.fetch("SELECT collection, key FROM _crossfade.outbox WHERE kind = 'document'"):
            stored.outbox[Place(names.get(row["collection"], row["collection"]), row["key"])] += 1
        tables = await connection.fetch(
            "SELECT relname FROM pg_class WHERE relnamespace = '_crossfade'::regnamespace AND relkind = 'r' "
            "AND relname LIKE 'unique/%'"
        )
        for table in (row["relname"] for row in tables):
            collection = uniques.get(table.rpartition("/")[2])
            if collection is None:
                stored.strays.append(table)
                continue
            values = [row.unique for place, row in stored.documents.items() if place.collection == collection]
            entries = await connection.fetch(
                "SELECT v, _crossfade.index_entry_of(jsonb_build_array(v)) AS entry FROM unnest($1::text[]) v",
                [value for value in values if value is not None],
            )
            known = {row["entry"]: row["v"] for row in entries}
            for row in await connection.fetch(f'SELECT value, key FROM _crossfade."{table}"'):
                stored.entries[collection, known.get(row["value"], row["value"])] = row["key"]
    finally:
        await connection.close()
    return stored
