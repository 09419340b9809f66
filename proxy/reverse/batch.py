"""What one push carries: rows of the outbox, and the present documents of their keys. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sql.statements.outbox import OutboxRow

Keys = Mapping[str, Sequence[str]]  # by `database/name`


@dataclass(frozen=True, slots=True)
class Version:
    """The present state of a key. raw: the document as ArangoDB prints it, with its `_rev`; None if there is none."""

    key: str
    rev: int
    raw: bytes | None


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one database. ids: of the rows. versions: by the collection's name, each key once.

    whole: no row of the database was left out.
    """

    database: str
    ids: tuple[int, ...]
    versions: Mapping[str, tuple[Version, ...]]
    whole: bool

    @property
    def size(self) -> int:
        """The number of documents."""
        return sum(map(len, self.versions.values()))

    def has(self, name: str, key: str) -> bool:
        return any(version.key == key for version in self.versions.get(name, ()))


def of_first_database(rows: Sequence[OutboxRow]) -> list[OutboxRow]:
    """Return the rows that are of the same database as the oldest."""
    first = database_of(rows[0].collection)
    return [row for row in rows if database_of(row.collection) == first]


def keys_of(rows: Iterable[OutboxRow], along: Keys) -> dict[str, list[str]]:
    """Return the keys to read by collection, those of the oldest rows first, each once."""
    keys: dict[str, dict[str, None]] = {}
    for row in rows:
        keys.setdefault(row.collection, {})[row.key] = None
    for collection, more in along.items():
        keys.setdefault(collection, {}).update(dict.fromkeys(more))
    return {collection: list(found) for collection, found in keys.items()}


def batch_of(rows: Sequence[OutboxRow], found: Mapping[str, Sequence[Version]], *, all_rows: bool) -> Batch:
    """Return the batch of those rows whose keys were read. found: by `database/name`; a collection that PostgreSQL no
    longer has is there without versions, and its rows carry nothing. all_rows: the outbox has no others.
    """
    known = {collection: {version.key for version in versions} for collection, versions in found.items()}
    taken = [
        row.id
        for row in rows
        if row.collection in found and (not found[row.collection] or row.key in known[row.collection])
    ]
    return Batch(
        database_of(rows[0].collection),
        tuple(taken),
        {collection.partition("/")[2]: tuple(versions) for collection, versions in found.items() if versions},
        all_rows and len(taken) == len(rows),
    )


def database_of(collection: str) -> str:
    return collection.partition("/")[0]
