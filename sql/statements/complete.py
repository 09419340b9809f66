"""Statements of queries/complete.sql."""

from __future__ import annotations

from typing import NamedTuple

from sql.statement import Single, Statement


class CatalogRow(NamedTuple):
    """kind, name, body: NULL in the only row of a catalog that has no entry. relation: NULL unless a collection."""

    version: int
    kind: str | None
    name: str | None
    body: str | None
    relation: str | None


class UnlistedRow(NamedTuple):
    database: str
    name: str
    edge: bool
    properties: str


class DocumentRow(NamedTuple):
    key: str
    raw: str


class CountedRow(NamedTuple):
    version: int
    documents: int
    newest: int
    last_key: str


class IndexBuildRow(NamedTuple):
    """An index that PostgreSQL builds. progress: in percent."""

    name: str
    progress: float


class StateRow(NamedTuple):
    newest: int
    last_key: str


class TtlIndexRow(NamedTuple):
    collection: str
    definition: str


class ClientIndexRow(NamedTuple):
    collection: str
    relation: str
    edge: bool
    definition: str


class FenceRow(NamedTuple):
    """Whether PostgreSQL may write, and whether it may answer reads."""

    writes: bool
    reads: bool


VERSION = Single("complete", "version", int)
CATALOG = Statement("complete", "catalog", CatalogRow)
UNLISTED = Statement("complete", "unlisted", UnlistedRow)
RETURNED = Statement("complete", "returned", str)
FENCE = Statement("complete", "fence", FenceRow)
CLOSING = Single("complete", "closing", bool)
RAISE_VERSION = Statement("complete", "raise_version", int)
FORGET = Statement("complete", "forget")
NOTE = Statement("complete", "note")
TICKS = Single("complete", "ticks", int)
LOCK_TICKS = Statement("complete", "lock_ticks")
RAISE_TICKS = Single("complete", "raise_ticks", int)
CREATE_COLLECTION = Single("complete", "create_collection", str)
IN_ARANGODB = Single("complete", "in_arangodb", bool)
DROP_COLLECTION = Single("complete", "drop_collection", bool)
RENAME_COLLECTION = Single("complete", "rename_collection", str)
SET_PROPERTIES = Statement("complete", "set_properties")
LOCK_WAIT = Single("complete", "lock_wait", str)
DOCUMENTS = Statement("complete", "documents", DocumentRow)
ALL_DOCUMENTS = Statement("complete", "all_documents", DocumentRow)
EDGES = Statement("complete", "edges", DocumentRow)
SIZE = Single("complete", "size", int)
COUNT = Single("complete", "count", int)
COUNTED = Statement("complete", "counted", CountedRow)
FOLD_COUNTS = Statement("complete", "fold_counts")
STATE = Statement("complete", "state", StateRow)
TTL_INDEXES = Statement("complete", "ttl_indexes", TtlIndexRow)
REMOVE_EXPIRED = Single("complete", "remove_expired", int)
CLIENT_INDEXES = Statement("complete", "client_indexes", ClientIndexRow)
MOMENT_COLUMN = Single("complete", "moment_column", str)
INDEX_BUILDS = Statement("complete", "index_builds", IndexBuildRow)
MADE_INDEXES = Statement("complete", "made_indexes", str)
MARK_INDEX = Statement("complete", "mark_index")
TRY_LOCK_INDEXES = Single("complete", "try_lock_indexes", bool)
UNLOCK_INDEXES = Single("complete", "unlock_indexes", bool)
