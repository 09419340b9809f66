"""The state of a server as one request sees it, for one pass, and how the request changed it.

A ServerView is a ServerState that the handlers change freely: it is made of a ServerCatalog, of what was loaded of
documents, and of the sessions of this process (cursors, jobs, queries), which it shares.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from proxy.complete.catalog import (
    ACCOUNT,
    COLLECTION,
    DATABASE,
    IDENTITY,
    Entries,
    Entry,
    ServerCatalog,
    account_entry,
    collection_entry,
    database_entry,
    parse_accounts,
    server_entry,
    write_properties,
)
from proxy.complete.collection_view import CollectionView
from proxy.complete.loaded_part import LoadedPart
from proxy.devserver.store.state.collection import Collection
from proxy.devserver.store.state.database import ServerDatabase
from proxy.devserver.store.state.log import MarkerLog
from proxy.devserver.store.state.server import ServerState
from proxy.semantics.unique_index import UniqueIndex


class NoMoreTicks(Exception):
    """The pass needs more numbers than this process has taken from PostgreSQL."""


class TickBlock:
    """Numbers that no other process gets. A number that a pass took is not given again."""

    def __init__(self) -> None:
        self._next = self._end = 0

    @property
    def left(self) -> int:
        return self._end - self._next

    def refill(self, last: int, size: int) -> None:
        """Continue with the `size` numbers up to `last`."""
        self._next, self._end = last - size + 1, last + 1

    def take(self) -> int:
        """Return a number. Raise NoMoreTicks."""
        if self._next >= self._end:
            raise NoMoreTicks
        self._next += 1
        return self._next - 1


class SilentLog(MarkerLog):
    """A write-ahead log that keeps nothing: PostgreSQL's own takes its place."""

    def __init__(self) -> None:
        super().__init__(int)

    def document(self, database: str, collection: str, key: str, raw: bytes | None, old: bytes | None) -> None:
        pass

    def change(self, kind: int, database: str, collection: str = "", data: Any = None) -> None:
        pass


@dataclass(slots=True, eq=False)
class ServerView(ServerState):
    """The state of one pass. views: the collections that the catalog had before it, by id."""

    ticks: TickBlock = field(default_factory=TickBlock)
    views: dict[str, CollectionView] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.log = SilentLog()

    def tick(self) -> int:
        return self.ticks.take()


@dataclass(frozen=True, slots=True)
class NewCollection:
    """A collection to create, with the documents that the request has put into it."""

    database: str
    collection: Collection

    @property
    def qualified(self) -> str:
        return f"{self.database}/{self.collection.name}"


@dataclass(frozen=True, slots=True)
class NewIndex:
    """A unique index to create on a table."""

    relation: str
    index: UniqueIndex


@dataclass(frozen=True, slots=True)
class CatalogChanges:
    """How a pass changed the catalog. note, forget: entries. properties: what writes must follow, by `database/name`.

    renamed: by the former `database/name`. made_indexes, dropped_indexes: unique ones; those of a renamed collection
    are dropped, since it gets another table.
    """

    note: Entries
    forget: tuple[Entry, ...]
    created: tuple[NewCollection, ...]
    dropped: tuple[str, ...]
    renamed: Mapping[str, Collection]
    properties: Mapping[str, bytes]
    made_indexes: tuple[NewIndex, ...]
    dropped_indexes: frozenset[str]

    def __bool__(self) -> bool:
        return bool(self.note or self.forget)


def view_of(
    catalog: ServerCatalog, sessions: ServerState, ticks: TickBlock, parts: dict[str, LoadedPart], *, own_accounts: bool
) -> ServerView:
    """Return the state for one pass. parts: what is loaded, by the id of the collection; new ones are added.

    sessions: the state of this process. own_accounts: the pass may change accounts, so that it gets copies.
    """
    accounts = catalog.accounts
    if own_accounts:
        accounts = parse_accounts(catalog.entries, enforced=accounts.enforced)
    view = ServerView(
        sessions.clock,
        sessions.now,
        catalog.server_id,
        catalog.guid,
        {name: ServerDatabase(name, number) for name, number in catalog.databases.items()},
        dict(sessions.cursors),
        sessions.transactions,
        sessions.jobs,
        sessions.batches,
        sessions.dumps,
        accounts,
        sessions.settings,
        running=sessions.running,
        slow=sessions.slow,
        calls=sessions.calls,
        ticks=ticks,
    )
    view.started = sessions.started
    for stored in catalog.collections:
        number = stored.properties.id
        seen = CollectionView.of(stored, parts.setdefault(number, LoadedPart()))
        view.views[number] = seen
        view.databases[stored.database].collections[seen.name] = seen
    return view


def keep_sessions(view: ServerView, sessions: ServerState, before: Mapping[str, object]) -> None:
    """Let the process have the cursors and queries of a pass that counts. before: the cursors that it began with."""
    for number in before.keys() - view.cursors.keys():
        sessions.cursors.pop(number, None)
    for number in view.cursors.keys() - before.keys():
        sessions.cursors[number] = view.cursors[number]
    sessions.slow = view.slow


def catalog_changes(view: ServerView, catalog: ServerCatalog, first: int) -> CatalogChanges:
    """Return how a view differs from its catalog. first: the revision above which new collections begin."""
    entries: Entries = {}
    created: list[NewCollection] = []
    renamed: dict[str, Collection] = {}
    properties: dict[str, bytes] = {}
    present: set[str] = set()
    made: list[NewIndex] = []
    dropped_indexes: set[str] = set()
    for database, collection in _collections(view):
        qualified = f"{database}/{collection.name}"
        entry = Entry(COLLECTION, qualified)
        if not isinstance(collection, CollectionView):
            created.append(NewCollection(database, collection))
            entries[entry] = collection_entry(collection, first)
            continue
        present.add(collection.id)
        entries[entry] = collection_entry(collection, collection.stored.first)
        former = collection.stored.qualified
        before, after = (
            {index.id: index for index in each.uniques} for each in (collection.stored.properties, collection)
        )
        if former != qualified:
            renamed[former] = collection
            dropped_indexes |= before.keys()
        else:
            dropped_indexes |= before.keys() - after.keys()
            new = [index for number, index in after.items() if number not in before]
            made += [NewIndex(collection.stored.relation, index.rules) for index in new]
        if entries[entry] != catalog.entries[Entry(COLLECTION, former)] or former != qualified:
            properties[qualified] = write_properties(collection)
    for name, found in view.databases.items():
        entries[Entry(DATABASE, name)] = database_entry(found.id)
    if view.accounts is not catalog.accounts:
        entries |= {Entry(ACCOUNT, name): account_entry(account) for name, account in view.accounts.by_name.items()}
        entries[IDENTITY] = server_entry(view.id, view.guid, view.accounts)
    gone = [seen for number, seen in view.views.items() if number not in present]
    dropped = [seen.stored.qualified for seen in gone]
    dropped_indexes |= {index.id for seen in gone for index in seen.stored.properties.uniques}
    kinds = {COLLECTION, DATABASE} | ({ACCOUNT} if view.accounts is not catalog.accounts else set())
    forget = [entry for entry in catalog.entries if entry.kind in kinds and entry not in entries]
    note = {entry: body for entry, body in entries.items() if catalog.entries.get(entry) != body}
    return CatalogChanges(
        note,
        tuple(forget),
        tuple(created),
        tuple(dropped),
        renamed,
        properties,
        tuple(made),
        frozenset(dropped_indexes),
    )


def _collections(view: ServerView) -> Iterator[tuple[str, Collection]]:
    for database, collection in view.collections():
        yield database.name, collection
