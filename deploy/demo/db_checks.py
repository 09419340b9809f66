"""Read both databases directly, and compare them document by document: no product code takes part.

ArangoDB over plain HTTP, as raw text; PostgreSQL through asyncpg, from the tables. Revisions, escapes and equality are
implemented again here in a few lines, so that an error of the product cannot hide itself. `mutants` checks the checker:
a changed value, a missing document, one too many must each be found.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import http.client
import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any
from urllib.parse import quote, urlsplit

import asyncpg
import msgspec

from deploy.demo.fake_data import User

_SYSTEM = ("_key", "_id", "_rev")
_ALPHABET = "-_ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_ESCAPE = re.compile("\ufdd0(?:(0)|(1)|s([0-9a-fA-F]{4}))")


class DirectError(Exception):
    """A database did not answer the direct reader as it should."""


@dataclass(frozen=True, slots=True)
class DocumentTableRow:
    """One row of a document table: the document as it is served, as it is queried, and its revision."""

    raw: str
    doc: str
    rev: int


@dataclass
class Comparison:
    """One collection on both sides: keys of what differs, and how many documents are the same to the byte."""

    collection: str
    documents: int = 0
    identical: int = 0
    missing: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)

    @property
    def equal(self) -> bool:
        return not (self.missing or self.extra or self.different)


class _Page(msgspec.Struct, rename="camel"):
    result: list[msgspec.Raw] = []
    id: str = ""
    has_more: bool = False
    error: bool = False
    error_message: str = ""


class DirectArangoDB:
    """Reads an ArangoDB over HTTP, without the proxy."""

    def __init__(self, url: str, user: str = "root", password: str = "") -> None:
        self._url = urlsplit(url)
        self._authorization = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    def documents(self, database: str, collection: str) -> dict[str, str]:
        """Return every document of the collection as ArangoDB prints it, by key. Raise DirectError."""
        connection = http.client.HTTPConnection(self._url.hostname or "", self._url.port, timeout=60)
        path = f"/_db/{quote(database)}/_api/cursor"
        ask = {"query": "FOR d IN @@c RETURN d", "bindVars": {"@c": collection}, "batchSize": 1000}
        found: dict[str, str] = {}
        try:
            page = self._page(connection, path, ask)
            while True:
                for raw in page.result:
                    text = bytes(raw).decode()
                    found[json.loads(text)["_key"]] = text
                if not page.has_more:
                    return found
                page = self._page(connection, f"{path}/{page.id}", None)
        except (OSError, http.client.HTTPException, msgspec.DecodeError) as error:
            raise DirectError(f"reading {database}/{collection} from ArangoDB: {error}") from error
        finally:
            connection.close()

    def _page(self, connection: http.client.HTTPConnection, path: str, ask: object) -> _Page:
        body = None if ask is None else json.dumps(ask)
        connection.request("POST", path, body, {"Authorization": self._authorization})
        answer = connection.getresponse()
        page = msgspec.json.decode(answer.read(), type=_Page)
        if page.error or answer.status >= 400:
            raise DirectError(f"ArangoDB answered {answer.status} to {path}: {page.error_message}")
        return page


class Target:
    """Reads PostgreSQL, and for the demo's tampering writes it, without the product."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self.connection = connection

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, dsn: str) -> AsyncIterator[Target]:
        connection = await asyncpg.connect(dsn)
        try:
            yield cls(connection)
        finally:
            await connection.close()

    async def documents(self, database: str, collection: str) -> dict[str, DocumentTableRow]:
        """Return every row of the table with a document (a row without one is a tombstone), by key."""
        rows = await self.connection.fetch(
            f"SELECT key, rev, raw::text AS raw, doc::text AS doc FROM {table(database, collection)} "
            "WHERE raw IS NOT NULL OR doc IS NOT NULL"
        )
        return {row["key"]: DocumentTableRow(row["raw"] or "null", row["doc"] or "null", row["rev"]) for row in rows}

    async def load_users(self, users: Sequence[User]) -> None:
        """Create the service's relational tables, its users and their profiles."""
        await self.connection.execute(resources.files(__package__).joinpath("schema.sql").read_text("utf-8"))
        await self.connection.executemany(
            'INSERT INTO "user" (id, name, email) VALUES ($1, $2, $3)', [(u.id, u.name, u.email) for u in users]
        )
        await self.connection.executemany(
            "INSERT INTO user_profiles (user_id, title, resume_id) VALUES ($1, $2, $3)",
            [(u.id, u.name, u.resume_id) for u in users],
        )

    async def profiles(self) -> dict[str, str]:
        """Return resume_id by user, of the profiles that have one."""
        rows = await self.connection.fetch("SELECT user_id, resume_id FROM user_profiles WHERE resume_id IS NOT NULL")
        return {row["user_id"]: row["resume_id"] for row in rows}

    async def profiles_joined_to_users(self) -> int:
        """Count the profiles that lead to a résumé of the same user by a plain join: the purpose of the migration."""
        return int(
            await self.connection.fetchval(
                "SELECT count(*) FROM user_profiles p JOIN atspro.resumes r "
                "ON r.key = p.resume_id AND r.doc ->> 'user_id' = p.user_id"
            )
        )

    async def compared(self) -> dict[str, int]:
        """Return the comparisons of each collection since they were last reset."""
        rows = await self.connection.fetch("SELECT collection, compared FROM _crossfade.comparison")
        return {row["collection"]: row["compared"] for row in rows}

    async def open_mismatches(self) -> int:
        return int(await self.connection.fetchval("SELECT count(*) FROM _crossfade.mismatch WHERE state = 'open'"))

    async def falsify(self, database: str, collection: str, key: str, path: Sequence[str], value: object) -> None:
        """Change one value deep in a document at the same revision, like a careless UPDATE in psql."""
        changed = await self.connection.execute(
            f"UPDATE {table(database, collection)} SET "
            "raw = jsonb_set(raw::jsonb, $2, $3::jsonb)::json, doc = jsonb_set(doc, $2, $3::jsonb) WHERE key = $1",
            key,
            list(path),
            json.dumps(value),
        )
        if changed != "UPDATE 1":
            raise DirectError(f"{database}/{collection}/{key} is not in PostgreSQL")


def table(database: str, collection: str) -> str:
    """Return the table of a collection whose names need no escaping (the demo's do not)."""
    return f'"{database}"."{collection}"'


def revision(text: str) -> int:
    """Return the number that ArangoDB's `_rev` encodes: base 64, most significant digit first."""
    number = 0
    for character in text:
        number = number * 64 + _ALPHABET.index(character)
    return number


def same(one: Any, other: Any) -> bool:
    """Compare JSON values: numbers by value, true is not 1, order of attributes is ignored."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return one == other or float(one) == float(other)
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(value, other[name]) for name, value in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def unescaped(value: Any) -> Any:
    """Replace the escapes of characters that jsonb cannot hold by these characters."""
    if isinstance(value, str):
        return _ESCAPE.sub(lambda m: "\0" if m[1] else "\ufdd0" if m[2] else chr(int(m[3], 16)), value)
    if isinstance(value, list):
        return [unescaped(item) for item in value]
    if isinstance(value, dict):
        return {unescaped(name): unescaped(item) for name, item in value.items()}
    return value


def compare(collection: str, origin: Mapping[str, str], target: Mapping[str, DocumentTableRow]) -> Comparison:
    """Compare every document of both sides: what is served, what is queried, and the revision."""
    found = Comparison(collection, documents=len(origin))
    found.missing = sorted(origin.keys() - target.keys())
    found.extra = sorted(target.keys() - origin.keys())
    for key in origin.keys() & target.keys():
        row, text = target[key], origin[key]
        document = json.loads(text)
        found.identical += row.raw == text
        queried = {name: value for name, value in document.items() if name not in _SYSTEM}
        if not (
            revision(document["_rev"]) == row.rev
            and (row.raw == text or same(json.loads(row.raw), document))
            and same(unescaped(json.loads(row.doc)), queried)
        ):
            found.different.append(key)
    found.different.sort()
    return found


async def compare_all(origin: DirectArangoDB, dsn: str, collections: Sequence[tuple[str, str]]) -> list[Comparison]:
    """Return one comparison per collection, given as (database, name)."""
    async with Target.open(dsn) as target:
        found = []
        for database, name in collections:
            documents = await asyncio.to_thread(origin.documents, database, name)
            found.append(compare(f"{database}/{name}", documents, await target.documents(database, name)))
        return found


async def mutants(origin: DirectArangoDB, dsn: str, database: str, name: str) -> dict[str, bool]:
    """Seed one fault of each kind in a transaction that is rolled back; True if the comparison finds exactly that."""
    documents = await asyncio.to_thread(origin.documents, database, name)
    place, found = table(database, name), {}
    async with Target.open(dsn) as target:
        one = sorted(await target.documents(database, name))[len(documents) // 2]
        faults = {
            "a changed value": (
                # as text: a document may hold what jsonb cannot
                f'UPDATE {place} SET raw = (left(raw::text, -1) || \',"user_id":"x"}}\')::json WHERE key = $1',
                Comparison("", different=[one]),
            ),
            "a changed copy for queries": (
                f"UPDATE {place} SET doc = doc || '{{\"seeded\": null}}' WHERE key = $1",
                Comparison("", different=[one]),
            ),
            "an older revision": (
                f"UPDATE {place} SET rev = rev - 1 WHERE key = $1",
                Comparison("", different=[one]),
            ),
            "a missing document": (f"DELETE FROM {place} WHERE key = $1", Comparison("", missing=[one])),
            "one too many": (
                f"INSERT INTO {place} (key, rev, raw, doc) SELECT 'seeded', rev, raw, doc FROM {place} WHERE key = $1",
                Comparison("", extra=["seeded"]),
            ),
        }
        for fault, (statement, expected) in faults.items():
            transaction = target.connection.transaction()
            await transaction.start()
            try:
                await target.connection.execute(statement, one)
                compared = compare("", documents, await target.documents(database, name))
            finally:
                await transaction.rollback()
            found[fault] = (compared.missing, compared.extra, compared.different) == (
                expected.missing,
                expected.extra,
                expected.different,
            )
    return found


def fetch_json(url: str, path: str) -> dict[str, Any]:
    """GET a JSON object. Raise DirectError."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    try:
        connection.request("GET", path)
        found: dict[str, Any] = json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, json.JSONDecodeError) as error:
        raise DirectError(f"{url}{path} does not answer: {error}") from error
    finally:
        connection.close()
    return found
