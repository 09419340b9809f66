"""How a pass has changed the catalog: entries, and what follows for tables and indexes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from proxy.complete.catalog import (
    ACCOUNT,
    COLLECTION,
    DATABASE,
    IDENTITY,
    Entries,
    Entry,
    ServerCatalog,
    StoredCollection,
    account_entry,
    collection_entry,
    database_entry,
    first_revision,
    server_entry,
    write_properties,
)
from proxy.complete.collection_view import CollectionView
from proxy.complete.server_view import ServerView, present
from proxy.devserver.store.state.collection import Collection
from proxy.model.json_values import dump
from proxy.stores.postgres.unique_indexes import NewIndex


@dataclass(frozen=True, slots=True)
class NewCollection:
    """A collection to create, with the documents that the request has put into it."""

    database: str
    collection: Collection

    @property
    def qualified(self) -> str:
        return f"{self.database}/{self.collection.name}"


@dataclass(frozen=True, slots=True)
class CatalogChanges:
    """How a pass changed the catalog. note, forget: entries. properties: what writes must follow, by `database/name`.

    renamed: by the former `database/name`. made_indexes, dropped_indexes: unique ones; those of a renamed collection
    are dropped, since it gets another table. gone_indexes: names of those that clients dropped, by `database/name`.
    """

    note: Entries
    forget: tuple[Entry, ...]
    created: tuple[NewCollection, ...]
    dropped: tuple[str, ...]
    renamed: Mapping[str, Collection]
    properties: Mapping[str, bytes]
    made_indexes: tuple[NewIndex, ...]
    dropped_indexes: frozenset[str]
    gone_indexes: Mapping[str, tuple[str, ...]]

    def __bool__(self) -> bool:
        return bool(self.note or self.forget)


@dataclass(slots=True)
class _Difference:
    """What was found so far. kept: the numbers of collections that are still there, under whatever name."""

    catalog: ServerCatalog
    entries: Entries = field(default_factory=dict)
    unchanged: set[Entry] = field(default_factory=set)
    kept: set[str] = field(default_factory=set)
    created: list[NewCollection] = field(default_factory=list)
    renamed: dict[str, Collection] = field(default_factory=dict)
    properties: dict[str, bytes] = field(default_factory=dict)
    made_indexes: list[NewIndex] = field(default_factory=list)
    dropped_indexes: set[str] = field(default_factory=set)
    gone_indexes: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def seen(self, database: str, seen: CollectionView) -> None:
        """Note how a collection differs from what is stored of it."""
        self.kept.add(seen.id)
        qualified, former = f"{database}/{seen.name}", seen.stored.qualified
        body = collection_entry(seen, seen.stored.first)
        self.entries[Entry(COLLECTION, qualified)] = body
        before, after = ({index.id: index for index in each.uniques} for each in (seen.stored.properties, seen))
        if former != qualified:
            self.renamed[former] = seen
            self.dropped_indexes |= before.keys()
        else:
            self.dropped_indexes |= before.keys() - after.keys()
            new = [index for number, index in after.items() if number not in before]
            self.made_indexes += [
                NewIndex(seen.stored.relation, index.rules, dump(index.definition(seen.name))) for index in new
            ]
        if body != self.catalog.entries[Entry(COLLECTION, former)] or former != qualified:
            self.properties[qualified] = write_properties(seen)
            there = {index.id for index in seen.indexes}
            self.gone_indexes[qualified] = tuple(
                index.name for index in seen.stored.properties.indexes if index.id not in there
            )

    def gone(self) -> list[StoredCollection]:
        """Return the collections that are no longer there."""
        return [
            stored
            for collections in self.catalog.collections.values()
            for stored in collections.values()
            if stored.properties.id not in self.kept
        ]


def catalog_changes(view: ServerView, catalog: ServerCatalog, first: int) -> CatalogChanges:
    """Return how a view differs from its catalog. first: the revision above which new collections begin."""
    found = _Difference(catalog)
    for database, collection in present(view):
        if isinstance(collection, StoredCollection):
            found.kept.add(collection.properties.id)
            found.unchanged.add(Entry(COLLECTION, collection.qualified))
        elif isinstance(collection, CollectionView):
            found.seen(database, collection)
        else:
            found.created.append(NewCollection(database, collection))
            found.entries[Entry(COLLECTION, f"{database}/{collection.name}")] = collection_entry(
                collection, first_revision(collection, first)
            )
    found.entries |= {Entry(DATABASE, name): database_entry(one.id) for name, one in view.databases.items()}
    kinds = {COLLECTION, DATABASE}
    if view.accounts is not catalog.accounts:
        kinds.add(ACCOUNT)
        for name, account in view.accounts.by_name.items():
            found.entries[Entry(ACCOUNT, name)] = account_entry(account)
        found.entries[IDENTITY] = server_entry(view.id, view.guid, view.accounts)
    gone = found.gone()
    there = found.entries.keys() | found.unchanged
    return CatalogChanges(
        {entry: body for entry, body in found.entries.items() if catalog.entries.get(entry) != body},
        tuple(entry for entry in catalog.entries if entry.kind in kinds and entry not in there),
        tuple(found.created),
        tuple(stored.qualified for stored in gone),
        found.renamed,
        found.properties,
        tuple(found.made_indexes),
        frozenset(found.dropped_indexes | {index.id for stored in gone for index in stored.properties.uniques}),
        found.gone_indexes,
    )
