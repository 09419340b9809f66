"""Write the difference that a pass made: entries of the catalog, tables, documents. Within a transaction."""

from __future__ import annotations

import sql
from proxy.base.database import Session
from proxy.complete.catalog import first_revision, write_properties
from proxy.complete.catalog_changes import CatalogChanges, NewCollection
from proxy.complete.catalog_storage import write_entries
from proxy.complete.loaded_part import DocumentChanges, LoadedPart
from proxy.devserver.store.state.collection import id_prefix
from proxy.stores.postgres import unique_indexes
from proxy.stores.postgres.unique_indexes import NewIndex
from proxy.stores.postgres.writes.row_changes import encoded, write_rows


async def write_catalog(session: Session, changes: CatalogChanges, first: int) -> None:
    """Change tables and entries. first: the revision above which those of new collections begin.

    The caller has raised the catalog's version in this transaction. Raise ArangoError 1210 if documents violate a new
    index. Raise DatabaseError.
    """
    for index_id in sorted(changes.dropped_indexes):
        await unique_indexes.drop(session, index_id)
    for collection in sorted(changes.dropped):
        await session.fetchval(sql.complete.DROP_COLLECTION, collection)
    for former, renamed in sorted(changes.renamed.items()):
        old, new = (id_prefix(name).decode() for name in (former.partition("/")[2], renamed.name))
        relation = await session.fetchval(sql.complete.RENAME_COLLECTION, former, renamed.name, old, new)
        for index in renamed.uniques:
            await unique_indexes.create(session, NewIndex(relation, index.rules))
    for made in changes.created:
        await _create(session, made, first)
    for made_index in changes.made_indexes:
        await unique_indexes.create(session, made_index)
    for collection, properties in sorted(changes.properties.items()):
        await session.execute(sql.complete.SET_PROPERTIES, collection, properties.decode())
        await session.execute(sql.outbox.NOTE_DEFINITION, collection, list(changes.gone_indexes.get(collection, ())))
    await write_entries(session, changes.note, changes.forget)


async def _create(session: Session, made: NewCollection, first: int) -> None:
    collection = made.collection
    relation = await session.fetchval(
        sql.complete.CREATE_COLLECTION,
        made.database,
        collection.name,
        collection.edge,
        first_revision(collection, first),
        write_properties(collection).decode(),
        str(collection.generator.last),
    )
    if collection.documents:
        documents = DocumentChanges(dict(collection.documents), emptied=False)
        noted = await session.fetchval(sql.complete.IN_ARANGODB, made.qualified)
        await write_rows(session, made.qualified, relation, encoded(documents.rows(LoadedPart())), noted=noted)
